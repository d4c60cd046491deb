"""A lock on each device of each slot: two agents never measure on one device, whatever they know of each other.

The lock lies on an open file, and whoever inherits that file holds the lock as well. Attempts inherit it. So a device
is free when both its agent and its attempt are gone, in whatever way they went.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final

from follower.agent.lock_file import Busy, Holder, let_go, lock_file
from follower.inventory.devices import Device
from shared.errors import Conflict

WAIT_S: Final = 5.0
"""More than an attempt needs to end whose agent was killed just now."""
LOOK_EVERY_S: Final = 0.05
SETTING: Final = "INFERBENCH_SLOT_LOCK_DIR"


class SlotLocks:
    """The locks of one agent, from its start to its end."""

    def __init__(self, directory: Path, *, sleep: Callable[[float], None] = time.sleep) -> None:
        self._directory = directory
        self._sleep = sleep
        self._held: dict[str, int] = {}  # name of the device's file -> descriptor

    def take(self, devices: Iterable[Device], holder: Holder, wait_s: float = WAIT_S) -> None:
        """Lock these devices; wait for those that are being let go of, together ``wait_s`` at most.

        Every agent takes them in the same order, and none before it has those before: so of two agents that want
        some of the same devices one gets all of them.

        Raises:
            Conflict: another agent, or an attempt that outlived its agent, has one of them.
            InvalidInput: what lies at a lock's place cannot be trusted.
            OSError: a file cannot be made or opened.
        """
        wanted = sorted(devices, key=lambda device: device.file)
        try:
            self._await(wanted, holder, round(wait_s / LOOK_EVERY_S))
        except BaseException:
            self.release()
            raise

    def _await(self, wanted: Sequence[Device], holder: Holder, looks: int) -> None:
        for _ in range(looks):
            if not self._taken(wanted, holder, first=True):
                return
            self._sleep(LOOK_EVERY_S)
        if taken := self._taken(wanted, holder):
            raise Conflict(self._refusal(taken))

    def _taken(self, wanted: Sequence[Device], holder: Holder, *, first: bool = False) -> list[tuple[Device, str]]:
        """The devices that cannot be had, and why; only the ``first`` of them, or all."""
        taken = []
        for device in wanted:
            if device.file in self._held:
                continue
            try:
                self._held[device.file] = lock_file(self._directory, device.file, holder)
            except Busy as busy:
                taken.append((device, str(busy)))
                if first:
                    break
        return taken

    def _refusal(self, taken: Sequence[tuple[Device, str]]) -> str:
        devices = ", ".join(device.words for device, _ in taken)
        slots = ", ".join(repr(name) for name in dict.fromkeys(device.slot for device, _ in taken))
        holders = "; ".join(dict.fromkeys(why for _, why in taken))
        return (
            f"slot {slots} needs {devices}, which another has: {holders}. Stop that one; or, to let both measure on the"
            f" same devices all the same, give one of them another {SETTING} (now {self._directory})"
        )

    def inherited(self, devices: Iterable[Device]) -> tuple[int, ...]:
        """Descriptors that an attempt on these devices is to inherit."""
        return tuple(sorted({self._held[device.file] for device in devices}))

    def release(self) -> None:
        """Let go of everything; whoever inherited a lock still has it."""
        while self._held:
            let_go(self._held.popitem()[1])
