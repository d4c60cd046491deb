"""Lists as aligned columns: no borders, no truncation, so that they can be piped. Views in, lines out."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from rich.cells import cell_len

from cli.quantities import NOT_AVAILABLE, age, milliseconds, padded, percent, printable, seconds, size
from shared.measure.metrics import METRICS
from shared.measure.record import Record
from shared.wire.views import (
    DatasetView,
    FollowerView,
    JobView,
    LeaderboardGroup,
    LeaderboardRow,
    LeaderboardView,
    ModelView,
    PlanView,
    RunView,
)


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Columns as wide as their widest cell, two blanks apart."""
    grid = [list(heads), *([printable(cell) for cell in row] for row in rows)]
    widths = [max(map(cell_len, column)) for column in zip(*grid, strict=True)]
    return ["  ".join(padded(cell, width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in grid]


def jobs_table(jobs: Sequence[JobView], now: datetime) -> list[str]:
    """One line a job."""
    if not jobs:
        return ["no jobs"]
    heads = ("JOB", "NAME", "TEAM", "OWNER", "STATE", "RUNS", "AGE")
    return table(heads, ((j.id, j.name, j.team, j.owner, j.state, _runs(j), age(j.created_at, now)) for j in jobs))


def job_lines(job: JobView, now: datetime) -> list[str]:
    """A job and its runs."""
    heading = f"{job.id}  {job.name}  {job.state}  team {job.team}, owner {job.owner}, {age(job.created_at, now)} ago"
    return [printable(heading), *runs_table(job.runs)] if job.runs else [printable(heading)]


def _runs(job: JobView) -> str:
    done = {state: count for state, count in job.run_states.items() if count}
    return ", ".join(f"{count} {state}" for state, count in sorted(done.items())) or str(job.run_count)


def runs_table(runs: Sequence[RunView]) -> list[str]:
    """One line a run."""
    heads = ("RUN", "STATE", "ATTEMPT", "FOLLOWER", "PREDICTED", "POINT", "CAUSE")
    return table(
        heads,
        (
            (r.id, r.state, str(r.attempt), r.follower or "-", seconds(r.predicted_s), _point(r.point), _cause(r))
            for r in runs
        ),
    )


def _point(point: dict[str, Any]) -> str:
    return ", ".join(f"{path}={value}" for path, value in point.items()) or "-"


def _cause(run: RunView) -> str:
    return f"{run.cause}: {run.detail}" if run.cause and run.detail else run.cause or "-"


def run_lines(run: RunView) -> list[str]:
    """A run, and how it ended."""
    tail = ["the end of its log:", *map(printable, run.log_tail.splitlines())] if run.log_tail else []
    return [*runs_table([run]), *tail]


def results_table(runs: Sequence[RunView], records: Sequence[Record]) -> list[str]:
    """One line a run, for jobs of several runs: what was varied and what came of it."""
    by_run = {record.run_id: record for record in records}
    heads = ("RUN", "STATE", "POINT", "P50 MS", "P99 MS", "REQ/S", "ERRORS", "SLO", "VERDICT")
    return table(heads, ((run.id, run.state, _point(run.point), *_outcome(by_run.get(run.id))) for run in runs))


def _outcome(record: Record | None) -> tuple[str, ...]:
    if record is None:
        return ("-",) * 6
    return (
        milliseconds(record.response_latency.p50_ms),
        milliseconds(record.response_latency.p99_ms),
        metric_value("throughput_rps", record.throughput_rps),
        percent(record.error_rate),
        {True: "met", False: "NOT MET", None: "-"}[record.slo_met],
        record.validity.verdict,
    )


def plan_lines(plan: PlanView) -> list[str]:
    """What a job would do."""
    rows = ((str(r.index), str(r.repeat), seconds(r.predicted_s), _point(r.point)) for r in plan.runs)
    groups = len(set(plan.comparability_keys))
    total = (
        f"{plan.name}: {len(plan.runs)} runs in {groups} comparable group{'s' if groups != 1 else ''}, "
        f"predicted {seconds(plan.predicted_s)} in all"
    )
    return [*table(("RUN", "REPEAT", "PREDICTED", "POINT"), rows), total]


def leaderboard_lines(board: LeaderboardView) -> list[str]:
    """One ranked table for each group of comparable records, best first."""
    if not board.groups:
        return ["no records yet"]
    polarity = "higher" if board.higher_is_better else "lower"
    lines = [f"ranked by {board.metric} ({board.unit}, {polarity} is better), only comparable records together"]
    for group in board.groups:
        lines += ["", *_group_lines(board, group)]
    return lines


def _group_lines(board: LeaderboardView, group: LeaderboardGroup) -> list[str]:
    heads = ("RANK", board.metric.upper(), "P99", "REQ/S", "NAME", "PLATFORM", "CONFIGURATION", "FOLLOWER", "VERDICT")
    shared_by_all = ", ".join(f"{what} {_short(value)}" for what, value in group.task.items())
    count = f"{group.record_count} record{'s' if group.record_count != 1 else ''}"
    title = f"{group.comparability_key[:12]}  {shared_by_all}  ({count})"
    return [printable(title), *table((*heads, "RUN"), (_row(board, row) for row in group.rows))]


def _row(board: LeaderboardView, row: LeaderboardRow) -> tuple[str, ...]:
    return (
        str(row.rank),
        metric_value(board.metric, row.value),
        milliseconds(row.metrics.get("p99_ms")),
        metric_value("throughput_rps", row.metrics.get("throughput_rps")),
        row.name,
        row.platform,
        ", ".join(f"{what} {_short(value)}" for what, value in row.configuration.items()) or "-",
        row.follower,
        row.verdict,
        row.run_id,
    )


def metric_value(name: str, value: float | None) -> str:
    """A ranked number in its metric's unit."""
    unit = METRICS[name].unit if name in METRICS else ""
    if value is None:
        return NOT_AVAILABLE
    if unit == "ms":
        return milliseconds(value)
    if unit == "bytes":
        return size(value)
    return percent(value) if unit == "share" else f"{value:.4g}" if abs(value) < 1000 else f"{value:.0f}"  # noqa: PLR2004


def _short(value: Any) -> str:
    """A JSON value in few words: the values of an object, without its braces."""
    if isinstance(value, dict):
        return " ".join(f"{key}={_short(item)}" for key, item in value.items() if item is not None)
    return "-".join(map(_short, value)) if isinstance(value, list | tuple) else str(value)


def models_table(models: Sequence[ModelView], now: datetime) -> list[str]:
    """One line a version."""
    if not models:
        return ["no models"]
    rows = (
        (m.name, str(m.version), m.state, size(m.size_bytes), (m.sha256 or "-")[:12], age(m.created_at, now), _about(m))
        for m in models
    )
    return table(("MODEL", "VERSION", "STATE", "SIZE", "SHA256", "AGE", "ABOUT"), rows)


def _about(model: ModelView) -> str:
    return model.detail or str(model.card.get("task") or model.card.get("description") or "-")


def datasets_table(datasets: Sequence[DatasetView]) -> list[str]:
    """One line a version."""
    if not datasets:
        return ["no datasets"]
    rows = (
        (d.name, str(d.version), "built in" if d.builtin else "uploaded", size(d.size_bytes), d.description or "-")
        for d in datasets
    )
    return table(("DATASET", "VERSION", "FROM", "SIZE", "ABOUT"), rows)


def followers_table(followers: Sequence[FollowerView], now: datetime) -> list[str]:
    """One line a follower."""
    if not followers:
        return ["no followers"]
    rows = (
        (
            f.name,
            "alive" if f.alive else f"silent for {age(f.last_seen_at, now)}",
            f"{f.inventory.cpu_model}, {f.inventory.logical_cores} cores, {size(f.inventory.memory_bytes)}",
            ", ".join(f"{slot.name} ({slot.device})" for slot in f.slots),
            ", ".join(f"{offer.platform} {offer.version}" for offer in f.capabilities.platforms) or "-",
            ", ".join(f.running) or "-",
        )
        for f in followers
    )
    return table(("FOLLOWER", "STATE", "HARDWARE", "SLOTS", "PLATFORMS", "RUNNING"), rows)
