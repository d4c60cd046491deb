"""When a conversion goes, stands still, and has had its time: decided without a clock or a process."""

from dataclasses import dataclass, replace
from typing import Literal

Act = Literal["nothing", "pause", "resume", "give up"]


@dataclass(frozen=True)
class Pace:
    """How long it has run by the last look, in nanoseconds; while it stands still no time is spent."""

    looked_at_ns: int
    spent_ns: int = 0
    is_paused: bool = False


def step(pace: Pace, now_ns: int, cap_ns: int, *, must_wait: bool) -> tuple[Pace, Act]:
    """The pace after a look, and what is to be done.

    It stands still for as long as it must wait, and is given up once it has run for longer than ``cap_ns``.
    """
    since_ns = 0 if pace.is_paused else now_ns - pace.looked_at_ns
    now = replace(pace, looked_at_ns=now_ns, spent_ns=pace.spent_ns + since_ns)
    if now.spent_ns > cap_ns:
        return now, "give up"
    if must_wait == pace.is_paused:
        return now, "nothing"
    return replace(now, is_paused=must_wait), "pause" if must_wait else "resume"
