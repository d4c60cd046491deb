"""When the next request is due: by the plan (open loop) or by an answer (closed loop). Pure."""

import heapq
from collections.abc import Iterator
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

    def begin(self, origin_ns: int) -> None:
        """Says when the plan's zero falls; before that nothing is due."""
        ...

    def next_due_ns(self) -> int:
        """When the next request is due; NEVER while none is, or while a declared cap lets none go."""
        ...

    def take(self) -> int:
        """Takes the next due time out."""
        ...

    def freed(self, now_ns: int, *, rest: bool) -> None:
        """A request has ended and is written down; ``rest`` where its connection was lost."""
        ...

    def left_over(self) -> Iterator[int]:
        """Takes out the due times whose turn never came."""
        ...


class OpenLoop:
    """The plan's due times, whatever the server does and however late the sender is."""

    def __init__(self, plan: Plan) -> None:
        self._planned_ns = np.append(plan.due_ns, NEVER).data
        self._next = 0
        self._origin_ns = 0
        self._due_ns = NEVER

    def begin(self, origin_ns: int) -> None:
        self._origin_ns = origin_ns
        self._look_up()

    def next_due_ns(self) -> int:
        return self._due_ns

    def take(self) -> int:
        due_ns = self._due_ns
        self._next += 1
        self._look_up()
        return due_ns

    def freed(self, now_ns: int, *, rest: bool) -> None:
        """Changes nothing: the plan does not wait for answers."""

    def left_over(self) -> Iterator[int]:
        while self._due_ns < NEVER:
            yield OpenLoop.take(self)

    def _look_up(self) -> None:
        self._due_ns = min(self._planned_ns[self._next] + self._origin_ns, NEVER)


class CappedLoop(OpenLoop):
    """An open loop with a declared cap on requests in flight. One that waits for the cap stays due: it goes late."""

    def __init__(self, plan: Plan, most_in_flight: int) -> None:
        super().__init__(plan)
        self._free = most_in_flight

    def next_due_ns(self) -> int:
        return self._due_ns if self._free else NEVER

    def take(self) -> int:
        self._free -= 1
        return super().take()

    def freed(self, now_ns: int, *, rest: bool) -> None:  # noqa: ARG002 - a lost connection frees its place too
        self._free += 1


class ClosedLoop:
    """``concurrency`` slots; each is due again ``think_time_ns`` after its request has ended, until the plan's end."""

    def __init__(self, plan: Plan) -> None:
        self._slots = plan.concurrency or 1
        self._think_ns = plan.think_time_ns
        self._length_ns = plan.end_ns
        self._end_ns = 0
        self._ready_ns: list[int] = []

    def begin(self, origin_ns: int) -> None:
        self._ready_ns = [origin_ns] * self._slots
        self._end_ns = origin_ns + self._length_ns

    def next_due_ns(self) -> int:
        return self._ready_ns[0] if self._ready_ns else NEVER

    def take(self) -> int:
        return heapq.heappop(self._ready_ns)

    def freed(self, now_ns: int, *, rest: bool) -> None:
        ready_ns = now_ns + (max(REST_NS, self._think_ns) if rest else self._think_ns)
        if ready_ns < self._end_ns:
            heapq.heappush(self._ready_ns, ready_ns)

    def left_over(self) -> Iterator[int]:
        while self._ready_ns:
            yield self.take()


def pacing_of(plan: Plan) -> Pacing:
    """The pacing that the plan asks for."""
    if plan.concurrency:
        return ClosedLoop(plan)
    if plan.max_in_flight:
        return CappedLoop(plan, plan.max_in_flight)
    return OpenLoop(plan)
