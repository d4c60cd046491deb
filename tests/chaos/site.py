"""A stack with a user at it, for figures that are measured one deed at a time."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from chaos.book import Accepted, Book
from chaos.occupancy import Stay
from chaos.remains import is_marked
from chaos.stack import ChaosStack, Follower, chaos_stack, wait_until
from chaos.user import User, job

LOOK_EVERY_S: Final = 0.02
LONG_S: Final = 600.0
"""An attempt that goes on until somebody ends it."""


@dataclass(frozen=True)
class Site:
    """What a figure needs."""

    stack: ChaosStack
    book: Book
    user: User

    def submit(self, follower: Follower, duration_s: float = LONG_S) -> Accepted:
        """A run of one attempt that succeeds after so long, for this follower only."""
        return self.user.submit(job([("succeed", duration_s)], follower=follower.name))[0]

    def state(self, run: Accepted) -> str:
        """Where the run stands."""
        return str(self.user.look(run.run_id)["state"])

    def wait_for(self, runs: Sequence[Accepted], *states: str, within_s: float = 60.0) -> None:
        """Until each of them is in one of the states."""
        wait_until(
            lambda: all(self.state(run) in states for run in runs), f"{[run.run_id for run in runs]} {states}", within_s
        )

    def stay_of(self, run: Accepted, wanted: Callable[[Stay], bool] = lambda _: True) -> Stay:
        """The run's time on a device, once it is as wanted."""
        found: list[Stay] = []

        def look() -> bool:
            found[:] = [stay for stay in self.stays(run) if wanted(stay)]
            return bool(found)

        wait_until(look, f"{run.run_id} is on a device")
        return found[-1]

    def stays(self, run: Accepted) -> list[Stay]:
        """All its time on devices so far."""
        return [stay for stay in self.stack.occupancy.refresh() if stay.occupant.run_id == run.run_id]

    def uses_a_device(self, run: Accepted) -> bool:
        """Whether a process of any of its attempts is there, by the kernel's word."""
        pids = {pid for stay in self.stays(run) for pid in stay.pids}
        return any(is_marked(pid, self.stack.folder) for pid in pids)

    def end(self, runs: Sequence[Accepted]) -> None:
        """Cancel what is live of these, and wait until no device is used for them."""
        for run in runs:
            self.user.cancel(run.run_id, "clearing up")
        wait_until(lambda: not any(map(self.uses_a_device, runs)), "the devices are free")

    def wait_for_followers(self) -> None:
        """Until each of them is registered."""
        names = {follower.name for follower in self.stack.followers}
        wait_until(lambda: names <= self.stack.alive(), "every follower is registered")


@contextmanager
def site(folder: Path, *, lease_s: float, poll_s: float = 2.0) -> Iterator[Site]:
    """A fresh stack in ``folder``, which is made, and a user at it."""
    folder.mkdir()
    book = Book()
    with (
        chaos_stack(folder, lease_s=lease_s, poll_s=poll_s) as stack,
        closing(User(stack.leader_url, stack.admin_token, book)) as user,
    ):
        yield Site(stack, book, user)


def seconds_until(is_so: Callable[[], bool], since_s: float, within_s: float = 120.0) -> float:
    """Seconds from ``since_s`` (monotonic) until it is so. Raises TimeoutError."""
    while not is_so():
        if time.monotonic() - since_s > within_s:
            raise TimeoutError(f"not within {within_s:g} s")
        time.sleep(LOOK_EVERY_S)
    return time.monotonic() - since_s
