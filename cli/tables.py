"""Lists as aligned columns: no borders, no truncation, so that they can be piped. Views in, lines out."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from rich.cells import cell_len

from cli.quantities import NOT_AVAILABLE, age, milliseconds, padded, percent, printable, seconds, size
from cli.reused import origin_text
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
    RecordView,
    RunView,
    TokenView,
)

_BESIDE: Final = ("p50_ms", "p99_ms", "throughput_rps")
CLOCK_TOLERANCE_S: Final = 5.0
"""A follower's wall clock that is off by more is worth a word."""
_USUAL: Final = ("threads", "instances", "batching.max_batch_size")


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
            (r.id, r.state, str(r.attempt), r.follower or "-", seconds(r.predicted_s), point_text(r.point), _cause(r))
            for r in runs
        ),
    )


def point_text(point: dict[str, Any]) -> str:
    """The sweep's values at a run."""
    return ", ".join(f"{path}={value}" for path, value in point.items()) or "-"


def _cause(run: RunView) -> str:
    if run.reused_from is not None:
        return origin_text(run.reused_from)
    if run.no_record is not None:
        return f"no record: {run.no_record}"
    return f"{run.cause}: {run.detail}" if run.cause and run.detail else run.cause or "-"


def run_lines(run: RunView) -> list[str]:
    """A run, and how it ended."""
    tail = ["the end of its log:", *map(printable, run.log_tail.splitlines())] if run.log_tail else []
    return [*runs_table([run]), *tail]


def results_table(runs: Sequence[RunView], records: Sequence[RecordView]) -> list[str]:
    """One line a run, for jobs of several runs: what was varied, what came of it, and where that was measured."""
    by_run = {view.run_id: view for view in records}
    heads = ("RUN", "STATE", "POINT", "P50 MS", "P99 MS", "REQ/S", "ERRORS", "SLO", "VERDICT")
    rows = [(run.id, run.state, point_text(run.point), *_outcome(by_run.get(run.id))) for run in runs]
    if not any(run.reused_from for run in runs):
        return table(heads, rows)
    return table((*heads, "MEASURED"), ((*row, _measured(run)) for row, run in zip(rows, runs, strict=True)))


def _measured(run: RunView) -> str:
    return "here" if run.reused_from is None else origin_text(run.reused_from)


def _outcome(view: RecordView | None) -> tuple[str, ...]:
    if view is None:
        return ("-",) * 6
    record = view.record
    return (
        milliseconds(record.response_latency.ms("p50")),
        milliseconds(record.response_latency.ms("p99")),
        metric_value("throughput_rps", record.throughput_rps),
        percent(record.error_rate),
        _slo(record),
        record.verdict.kind,
    )


def _slo(record: Record) -> str:
    if not record.slo:
        return "-"
    return {True: "met", False: "NOT MET", None: "undecided"}[record.slo_met]


def leaderboard_lines(board: LeaderboardView) -> list[str]:
    """One ranked table for each group of comparable records, best first."""
    if not board.groups:
        return ["nothing to rank yet; a record whose verdict is invalid is kept, but never ranked"]
    polarity = "higher" if board.higher_is_better else "lower"
    lines = [f"ranked by {board.metric} ({board.unit}, {polarity} is better), only comparable records together"]
    for group in board.groups:
        lines += ["", *_group_lines(board, group)]
    return lines


def _group_lines(board: LeaderboardView, group: LeaderboardGroup) -> list[str]:
    settings = [flattened(row.configuration) for row in group.rows]
    varied = {path for path in set().union(*settings) if len({str(each.get(path)) for each in settings}) > 1}
    beside = [name for name in _BESIDE if name != board.metric]
    heads = (
        "RANK", board.metric.upper(), *(name.upper() for name in beside), "NAME", "PLATFORM", "SETTINGS", "FOLLOWER",
        "VERDICT", "RUN",
    )  # fmt: skip
    count = f"{group.record_count} record{'s' if group.record_count != 1 else ''}"
    title = f"{task_line(group.task)}  ({count}, key {group.comparability_key[:12]})"
    rows = (_row(board, row, beside, _settings(each, varied)) for row, each in zip(group.rows, settings, strict=True))
    return [printable(title), *table(heads, rows)]


def _row(board: LeaderboardView, row: LeaderboardRow, beside: Sequence[str], settings: str) -> tuple[str, ...]:
    return (
        str(row.rank),
        metric_value(board.metric, row.value),
        *(metric_value(name, row.metrics.get(name)) for name in beside),
        row.name,
        row.platform,
        settings,
        row.follower,
        row.verdict,
        row.run_id,
    )


def task_line(task: Mapping[str, Any]) -> str:
    """What all records of a group share, in the words of the job file; what an older leader leaves out is left out."""
    model, requests, workload = (dict(task.get(part) or {}) for part in ("model", "requests", "workload"))
    generated = flattened(model.get("generate") or {})
    load = workload.get("rate") or workload.get("concurrency")
    parts = (
        " ".join(f"{key}={value}" for key, value in generated.items()) or model.get("name"),
        f"{requests['dataset']} x{requests.get('batch_size', 1)}" if "dataset" in requests else None,
        " ".join(str(part) for part in (workload.get("pattern"), load, workload.get("duration")) if part),
        f"network {task['network']}" if task.get("network", "none") != "none" else None,
    )
    return " · ".join(str(part) for part in parts if part)


def _settings(settings: Mapping[str, Any], varied: Collection[str]) -> str:
    """What differs between the rows; where nothing does, the settings that people turn most."""
    shown = varied or [path for path in _USUAL if path in settings]
    return " ".join(f"{path.rpartition('.')[2]}={settings.get(path, '-')}" for path in sorted(shown)) or "-"


def flattened(tree: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """Dotted path -> plain value; what is not set is left out."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping):
            flat |= flattened(value, f"{above}{key}.")
        elif value is not None:
            flat[f"{above}{key}"] = value
    return flat


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
        (d.name, str(d.version), d.kind or "-", _origin(d), size(d.size_bytes), _about_dataset(d)) for d in datasets
    )
    return table(("DATASET", "VERSION", "KIND", "FROM", "SIZE", "ABOUT"), rows)


def _origin(dataset: DatasetView) -> str:
    if dataset.builtin:
        return "built in"
    return "uploaded" if dataset.state == "ready" else dataset.state


def _about_dataset(dataset: DatasetView) -> str:
    trace = "" if dataset.requests is None else f"{dataset.requests} arrivals over {seconds(dataset.span_s or 0.0)}"
    return "; ".join(part for part in (dataset.detail, dataset.description, trace) if part) or "-"


def tokens_table(tokens: Sequence[TokenView], now: datetime) -> list[str]:
    """One line a token."""
    rows = ((t.name, t.role, t.follower or "-", age(t.created_at, now)) for t in tokens)
    return table(("TOKEN", "ROLE", "FOLLOWER", "AGE"), rows)


def platforms_table(platforms: Iterable[Mapping[str, Any]]) -> list[str]:
    """One line a platform, as ``python -m follower.engines list`` tells of it."""
    return table(("PLATFORM", "VERSION", "LAUNCH", "PROTOCOL", "DEVICE", "MISSING"), map(_platform_row, platforms))


def _platform_row(platform: Mapping[str, Any]) -> tuple[str, ...]:
    offer, engine = platform["offer"], platform["engine"]
    if offer is None:
        lacks = f"inferbench platforms install {engine}" if engine else "not set up; see docs/platforms"
        return platform["platform"], "-", "-", "-", "-", lacks
    ways = tuple(", ".join(offer[key]) for key in ("launch", "protocol", "device"))
    return platform["platform"], offer["version"], *ways, "-"


def _follower_state(follower: FollowerView, now: datetime) -> str:
    since = age(follower.last_seen_at, now)
    heard = "alive" if follower.alive else f"{'stopped' if follower.stopped else 'silent'} for {since}"
    cordon = [] if not follower.cordoned else ["draining" if follower.running else "drained"]
    return ", ".join([heard, *cordon, *_clock_state(follower.clock_offset_s)])


def _clock_state(offset_s: float | None) -> list[str]:
    if offset_s is None or abs(offset_s) <= CLOCK_TOLERANCE_S:
        return []
    return [f"clock {seconds(abs(offset_s))} {'behind' if offset_s > 0 else 'ahead'}"]


def followers_table(followers: Sequence[FollowerView], now: datetime) -> list[str]:
    """One line a follower."""
    if not followers:
        return ["no followers"]
    rows = (
        (
            f.name,
            _follower_state(f, now),
            f"{f.inventory.cpu_model}, {f.inventory.logical_cores} cores, {size(f.inventory.memory_bytes)}",
            ", ".join(f"{slot.name} ({slot.device})" for slot in f.slots),
            ", ".join(f"{offer.platform} {offer.version}" for offer in f.capabilities.platforms) or "-",
            ", ".join(f.running) or "-",
        )
        for f in followers
    )
    return table(("FOLLOWER", "STATE", "HARDWARE", "SLOTS", "PLATFORMS", "RUNNING"), rows)
