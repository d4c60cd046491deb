"""How much of the start to leave out: by time, by count, and until latencies stop drifting. Pure, from the columns.

1. By time: what the job asks for.
2. By count: as many answers as requests were ever in flight before the window (a closed loop: its concurrency), so that
   every connection has served one.
3. By drift: the planned window is cut into twelve segments. A segment is left out while its typical latency differs
   from that of the window's second half by more than 10 %, and by more than chance explains; at most four of them, a
   third of the window. If the fifth still differs, the run did not settle.

Leaving out the start for as long as the rest says otherwise is the idea of truncation by the marginal standard error
(K. P. White, "An Effective Truncation Heuristic for Bias Reduction in Simulation Output", 1997). Asking for
significance keeps it from cutting at random: on data that is level from the start it leaves nothing out in 99 of 100
runs. Latencies are compared by their geometric means, because one latency of a second says nothing about warmth.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from shared.measure.batches import counts, means
from shared.measure.columns import Columns
from shared.measure.latency import response_ns
from shared.measure.little import most_in_flight
from shared.measure.trend import shift_p
from shared.measure.windows import Window, due_in, is_steady, succeeded, window_of
from shared.workload.plan import Plan

SEGMENTS: Final = 12
MOST_LEFT_OUT: Final = 4
"""Segments: a third of the window."""

SPANS_PER_SEGMENT: Final = 3
LEAST_PER_SPAN: Final = 3.0
"""Successes in a span on average, below which its mean says too little."""

LEAST_DRIFT: Final = 0.1
"""Relative difference of typical latencies that matters; the 10 % within which NVIDIA's perf_analyzer calls windows
stable."""

SIGNIFICANCE: Final = 0.001
"""Chance of leaving out a segment of level data."""


@dataclass(frozen=True)
class WarmUp:
    """The window that is measured, and whether latencies had settled when it began."""

    window: Window
    settled: bool = True


def after_warmup(columns: Columns, plan: Plan, origin_ns: int) -> WarmUp:
    """The measured window: the planned one, less what its start still owes to warming up.

    A plan that is not steady on purpose, or due all at once, keeps its window as planned.
    """
    planned = window_of(plan, origin_ns)
    if not is_steady(plan):
        return WarmUp(planned)
    latest = planned.start_ns + (planned.end_ns - planned.start_ns) * MOST_LEFT_OUT // SEGMENTS
    warm_ns = _warm_by_count(columns, plan, planned)
    counted = Window(min(max(planned.start_ns, warm_ns), latest), planned.end_ns)
    return _without_drift(columns, planned, counted)


def _warm_by_count(columns: Columns, plan: Plan, planned: Window) -> int:
    """When as many requests had ended as were in flight at most before the planned window."""
    done = columns["done_ns"] >= 0
    ended_ns = np.sort(columns["done_ns"][done])
    needed = plan.concurrency or _most_in_flight(columns, planned.start_ns)
    if needed == 0:
        return planned.start_ns
    return int(ended_ns[needed - 1]) + 1 if len(ended_ns) >= needed else planned.end_ns


def _most_in_flight(columns: Columns, until_ns: int) -> int:
    """Most requests in flight at once before a moment."""
    early = columns["start_ns"] < until_ns
    return most_in_flight({name: columns[name][early] for name in ("start_ns", "done_ns")})


def _without_drift(columns: Columns, planned: Window, counted: Window) -> WarmUp:
    """Segments are those of the planned window, so that what may be left out does not grow with what was."""
    spans = SEGMENTS * SPANS_PER_SEGMENT
    rows = due_in(columns, planned)
    ok = succeeded(rows)
    due_ns, log_ns = rows["due_ns"][ok], np.log(np.maximum(response_ns(rows)[ok], 1))
    if counts(due_ns, planned, spans).mean() < LEAST_PER_SPAN:
        return WarmUp(counted)
    typical = means(due_ns, log_ns, planned, spans)
    rest = typical[len(typical) // 2 :]
    edges = [part.start_ns for part in planned.split(SEGMENTS)]
    for segment in range(MOST_LEFT_OUT + 1):
        if edges[segment + 1] <= counted.start_ns:
            continue
        first = typical[segment * SPANS_PER_SEGMENT : (segment + 1) * SPANS_PER_SEGMENT]
        if abs(np.expm1(first.mean() - rest.mean())) <= LEAST_DRIFT or shift_p(first, rest) >= SIGNIFICANCE:
            return WarmUp(Window(max(edges[segment], counted.start_ns), planned.end_ns))
    return WarmUp(Window(edges[MOST_LEFT_OUT], planned.end_ns), settled=False)
