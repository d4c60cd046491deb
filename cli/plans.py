"""A plan as lines: the runs, what of them is measured already, how long the rest takes, and when it would start."""

from collections.abc import Iterator, Sequence

from cli.quantities import printable, seconds
from cli.tables import point_text, table
from shared.wire.views import Eta, PlannedRun, PlanView


def plan_lines(plan: PlanView) -> list[str]:
    """What a job would do. A search's time is that of as many probes as it may take."""
    heads = ["RUN", "REPEAT", "PREDICTED", "POINT"]
    if plan.is_upper_bound:
        heads.append("PROBES")
    if any(run.equal_count or run.reused_from for run in plan.runs):
        heads.append("EQUAL RUNS")
    rows = [_row(run, heads) for run in plan.runs]
    return [*table(heads, rows), *map(printable, _totals(plan))]


def _row(run: PlannedRun, heads: Sequence[str]) -> tuple[str, ...]:
    span = _span(run.predicted_s, run.predicted_p90_s)
    predicted = span if run.most_runs == 1 else f"<= {span}"
    cells = {
        "RUN": str(run.index),
        "REPEAT": str(run.repeat),
        "PREDICTED": predicted if run.reused_from is None else "-",
        "POINT": point_text(run.point),
        "PROBES": f"up to {run.most_runs}",
        "EQUAL RUNS": _equal(run),
    }
    return tuple(cells[head] for head in heads)


def _equal(run: PlannedRun) -> str:
    more = run.equal_count - len(run.equal_runs)
    named = ", ".join(run.equal_runs) + (f" and {more} more" if more > 0 else "")
    if run.reused_from is None:
        return named or "-"
    others = f"; equal: {named}" if named and run.equal_runs != (run.reused_from.run_id,) else ""
    return f"reuses {run.reused_from.run_id}{others}"


def _totals(plan: PlanView) -> Iterator[str]:
    groups = len(set(plan.comparability_keys))
    measured = [run for run in plan.runs if run.reused_from is None]
    most = sum(run.most_runs for run in measured)
    if plan.is_upper_bound:
        total = f"at most {most} runs, at most {seconds(plan.predicted_s)} in all; a search ends when it knows"
    else:
        total = (
            f"{len(plan.runs)} runs in {groups} comparable group{'s' if groups != 1 else ''}, "
            f"predicted {_span(plan.predicted_s, plan.predicted_p90_s)} in all"
        )
    yield f"{plan.name}: {total}"
    if len(measured) < len(plan.runs):
        yield f"reuse {plan.reuse}: {len(plan.runs) - len(measured)} of {len(plan.runs)} runs are not run again"
    equal = sum(run.equal_count > 0 for run in measured)
    if equal and plan.reuse == "never":
        yield f"{equal} of {len(plan.runs)} runs were measured before; `reuse: if-equal` takes their numbers"
    if plan.forecast:
        yield f"submitted now: {_when(plan.starts_in, plan.ends_in)}; {plan.forecast}"


def _when(starts_in: Eta | None, ends_in: Eta | None) -> str:
    starts = f"the first starts in {_span(starts_in.p50_s, starts_in.p90_s)}" if starts_in else "no start is in sight"
    return f"{starts}, the last ends in {_span(ends_in.p50_s, ends_in.p90_s)}" if ends_in else starts


def _span(p50_s: float, p90_s: float | None) -> str:
    """The median, and what nine of ten take at most."""
    return seconds(p50_s) if p90_s is None else f"{seconds(p50_s)} (p90 {seconds(p90_s)})"
