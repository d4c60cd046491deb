"""Which of a run's rows its figures are made of."""

from dataclasses import dataclass
from typing import Final

from shared.measure.backlog import Overload, overload_of
from shared.measure.columns import Columns
from shared.measure.manifest import Circumstances
from shared.measure.warmup import WarmUp, after_warmup
from shared.measure.windows import Window, due_in, in_due_order, is_all_at_once, succeeded, window_of
from shared.workload.plan import Plan

UNSTEADY: Final = "overloaded: no steady latency exists"
"""Why an overloaded run has no percentile."""

_CAP_NEARLY_REACHED: Final = 0.9  # several workers share a cap, and do not reach their shares at the same moment


@dataclass(frozen=True, kw_only=True)
class MeasuredRun:
    """A run's rows in the order of due times, and those that count."""

    columns: Columns
    plan: Plan
    circumstances: Circumstances
    window: Window
    rows: Columns  # of the requests due in the window
    successes: Columns
    overload: Overload | None
    settled: bool

    @property
    def unsteady(self) -> str | None:
        return UNSTEADY if self.overload else None

    @property
    def planned_window(self) -> Window:
        return window_of(self.plan, self.circumstances.origin_ns)

    @property
    def cap_reached(self) -> int | None:
        """The plan's cap on requests in flight, if requests waited for it."""
        cap = self.plan.max_in_flight
        return cap if cap is not None and self.circumstances.max_in_flight >= _CAP_NEARLY_REACHED * cap else None


def measured_run(columns: Columns, plan: Plan, circumstances: Circumstances) -> MeasuredRun:
    """The rows of the measured window: the planned one, less what its start still owed to warming up.

    An overloaded run keeps its planned window: it does not settle, however much of it is left out.
    """
    ordered = in_due_order(columns)
    planned = window_of(plan, circumstances.origin_ns)
    is_open = not plan.concurrency and not is_all_at_once(plan)
    overload = overload_of(ordered, planned) if is_open else None
    warm = WarmUp(planned) if overload else after_warmup(ordered, plan, circumstances.origin_ns)
    rows = due_in(ordered, warm.window)
    ok = succeeded(rows)
    return MeasuredRun(
        columns=ordered,
        plan=plan,
        circumstances=circumstances,
        window=warm.window,
        rows=rows,
        successes=rows if ok.all() else {name: column[ok] for name, column in rows.items()},
        overload=overload,
        settled=warm.settled,
    )
