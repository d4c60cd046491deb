"""When the next request is due: by the plan (open loop) or by an answer (closed loop). Pure."""

import heapq
from typing import Final, Protocol

import numpy as np

from shared.workload.plan import Plan

NEVER: Final = 2**62
"""Later than any due time."""

REST_NS: Final = 50_000_000
"""How long a closed-loop slot rests after a lost connection, so that a dead server is asked 20 times a second
instead of 20,000."""


class Pacing(Protocol):
    """Hands out due times, each once, in ascending order. All times are absolute monotonic nanoseconds."""

    def next_due_ns(self) -> int:
        """When the next request is due; NEVER while none is."""
        ...

    def take(self) -> int:
        """Takes the next due time out."""
        ...

    def freed(self, now_ns: int, *, rest: bool) -> None:
        """A request ended; ``rest`` where its connection was lost."""
        ...


class OpenLoop:
    """The plan's due times, whatever the server does and however late the sender is."""

    def __init__(self, plan: Plan, origin_ns: int) -> None:
        self._due_ns = np.append(plan.due_ns + origin_ns, NEVER).data
        self._next = 0

    def next_due_ns(self) -> int:
        return int(self._due_ns[self._next])

    def take(self) -> int:
        due_ns = int(self._due_ns[self._next])
        self._next += 1
        return due_ns

    def freed(self, now_ns: int, *, rest: bool) -> None:
        """Changes nothing: the plan does not wait for answers."""


class ClosedLoop:
    """``concurrency`` slots; each is due again as soon as its request has ended, until the plan's end."""

    def __init__(self, plan: Plan, origin_ns: int) -> None:
        self._ready_ns = [origin_ns] * (plan.concurrency or 1)
        self._end_ns = origin_ns + plan.end_ns

    def next_due_ns(self) -> int:
        return self._ready_ns[0] if self._ready_ns else NEVER

    def take(self) -> int:
        return heapq.heappop(self._ready_ns)

    def freed(self, now_ns: int, *, rest: bool) -> None:
        ready_ns = now_ns + REST_NS if rest else now_ns
        if ready_ns < self._end_ns:
            heapq.heappush(self._ready_ns, ready_ns)


def pacing_of(plan: Plan, origin_ns: int) -> Pacing:
    """The plan's due times from ``origin_ns`` on."""
    return ClosedLoop(plan, origin_ns) if plan.concurrency else OpenLoop(plan, origin_ns)
