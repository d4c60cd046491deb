"""What the attempts wrote of themselves, and whether two were ever on one device at once.

A line is ``NANOSECONDS KIND DEVICE RUN ATTEMPT FENCE MAIN_PID PID``, with the clock that leases are counted on
(CLOCK_BOOTTIME). Kinds: ``begin``; ``contended``, as long as the device's lock is another's; ``hold``; ``alive`` and
``child`` about ten times a second; ``end``. An attempt that was killed ends at its last sign of life, which is never
too late; what may then be missed at the seam is caught by the lock, which the kernel keeps.
"""

import itertools
import threading
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

LOCK_WAIT_AT_LEAST_NS: Final = 1
"""What a lock that was held counts where nobody knows how long."""


@dataclass(frozen=True, order=True)
class Occupant:
    """One process of one attempt on one device."""

    device: str
    run_id: str
    attempt: int
    fence: int
    pid: int


@dataclass(frozen=True)
class Stay:
    """An attempt's time on a device, from its first stamp to its last, in ns."""

    occupant: Occupant
    begin_ns: int
    last_ns: int
    contended: bool = False
    held_ns: int | None = None
    ended: bool = False
    pids: frozenset[int] = frozenset()

    def with_stamp(self, at_ns: int, kind: str, pid: int) -> "Stay":
        """The stay after one more line."""
        return replace(
            self,
            last_ns=max(self.last_ns, at_ns),
            contended=self.contended or kind == "contended",
            held_ns=at_ns if kind == "hold" else self.held_ns,
            ended=self.ended or kind == "end",
            pids=self.pids | {pid},
        )

    @property
    def waited_ns(self) -> int:
        """How long the device's lock was known to be another's; 0 where it was free."""
        if not self.contended:
            return 0
        return max(LOCK_WAIT_AT_LEAST_NS, (self.held_ns or self.last_ns) - self.begin_ns)


@dataclass(frozen=True)
class Overlap:
    """Two attempts on one device at once."""

    later: Occupant
    earlier: Occupant | None  # None where only the lock knows of it
    ns: int

    def __str__(self) -> str:
        other = f"attempt {self.earlier.attempt} of {self.earlier.run_id}" if self.earlier else "whoever held the lock"
        return (
            f"{self.later.device}: attempt {self.later.attempt} of {self.later.run_id}"
            f" ran {self.ns / 1e6:.3f} ms beside {other}"
        )


def overlaps(stays: Iterable[Stay]) -> list[Overlap]:
    """Every pair that met on a device, and every lock that was found taken."""
    by_device: dict[str, list[Stay]] = defaultdict(list)
    for stay in stays:
        by_device[stay.occupant.device].append(stay)
    return [found for device in sorted(by_device) for found in _on_one_device(by_device[device])]


def _on_one_device(stays: Sequence[Stay]) -> list[Overlap]:
    found = []
    ordered = sorted(stays, key=lambda stay: (stay.begin_ns, stay.occupant))
    for number, later in enumerate(ordered):
        met = [
            Overlap(later.occupant, earlier.occupant, min(earlier.last_ns, later.last_ns) - later.begin_ns)
            for earlier in itertools.islice(ordered, number)
            if earlier.last_ns > later.begin_ns
        ]
        if later.waited_ns and not met:
            met = [Overlap(later.occupant, None, later.waited_ns)]
        found += met
    return found


@dataclass
class OccupancyLog:
    """The file, read as it grows."""

    path: Path
    stays: dict[Occupant, Stay] = field(default_factory=dict)
    _read_bytes: int = 0
    _guard: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def refresh(self) -> list[Stay]:
        """Take in the lines that came since; every stay so far."""
        with self._guard:
            if self.path.exists():
                with self.path.open("rb") as file:
                    file.seek(self._read_bytes)
                    self._take(file.read())
            return list(self.stays.values())

    def _take(self, data: bytes) -> None:
        whole = data[: data.rfind(b"\n") + 1]
        self._read_bytes += len(whole)
        for line in whole.decode().splitlines():
            at, kind, device, run_id, attempt, fence, main_pid, pid = line.split()
            occupant = Occupant(device, run_id, int(attempt), int(fence), int(main_pid))
            stay = self.stays.get(occupant) or Stay(occupant, int(at), int(at))
            self.stays[occupant] = stay.with_stamp(int(at), kind, int(pid))
