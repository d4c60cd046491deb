"""Records and views made by hand, whole enough to be shown: every number is chosen, none is measured."""

from datetime import UTC, datetime
from typing import Any

from shared.jobs.lifecycle import RunState
from shared.measure.record import (
    PERCENTILES,
    Answer,
    ColdStart,
    HostUse,
    LatencySummary,
    LoadFidelity,
    Percentile,
    Quality,
    Record,
    Resources,
    SloCheck,
    StageSummary,
    Verdict,
)
from shared.wire.views import EventView, JobView, RunView

JOB_ID = "j-01jd3z8k5q2w9x7v6t4r3s2a1b"
RUN_ID = f"{JOB_ID}.0000"
NOON = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)

STAGE_MEANS_MS = {
    "preprocess": 1.5,
    "transmission": 0.5,
    "queue": 0.25,
    "inference": 12.0,
    "postprocess": 0.5,
    "unattributed": 0.25,
}
"""They add up to 15 ms."""

UNCERTIFIED = "not certified: 118 effective samples, 662 are needed"


def latency(p50_ms: float | None = 14.0, n: int = 600) -> LatencySummary:
    """A distribution whose percentiles are simple multiples of its median; all n/a where that is None."""
    scale = {"mean": 15 / 14, "stddev": 0.1, "min": 0.8, "max": 3.1}
    ranked = {"p50": 1.0, "p90": 1.2, "p95": 1.3, "p99": 2.23, "p99.9": 3.0}
    percentiles = {name: percentile(None if p50_ms is None else p50_ms * ranked[name]) for name in PERCENTILES}
    return LatencySummary(
        n=n,
        n_effective=float(n),
        percentiles=percentiles,
        **{f"{k}_ms": None if p50_ms is None else p50_ms * f for k, f in scale.items()},
    )


def percentile(ms: float | None) -> Percentile:
    """Certified to 5 % where there is a value."""
    if ms is None:
        return Percentile(ms=None, low_ms=None, high_ms=None, certified=False, reason=UNCERTIFIED)
    return Percentile(ms=ms, low_ms=0.95 * ms, high_ms=1.05 * ms, certified=True)


def stage(mean_ms: float | None, total_ms: float = 15.0, n: int = 600) -> StageSummary:
    """A stage with its share of the total."""
    if mean_ms is None:
        return StageSummary(n=0, mean_ms=None, p50_ms=None, p90_ms=None, p99_ms=None, share=None)
    share = mean_ms / total_ms
    return StageSummary(n=n, mean_ms=mean_ms, p50_ms=mean_ms, p90_ms=mean_ms, p99_ms=2 * mean_ms, share=share)


QUALITY = Quality(
    metric="exact-match",
    value=0.875,
    n=8,
    answers=(
        Answer(sample="word-1.jpg", answer="HELLO", label="HELLO", confidence=0.98),
        Answer(sample="word-2.jpg", answer="BENCH", label="BENCH", confidence=0.97),
        Answer(sample="word-3.jpg", answer="MARK", label="MARK", confidence=0.99),
        Answer(sample="word-4.jpg", answer="W0RLD", label="WORLD", confidence=0.61),
    ),
)


def record(**changes: Any) -> Record:
    """A good record of an image model under Poisson arrivals; ``changes`` replace top-level parts."""
    parts: dict[str, Any] = {
        "run_id": RUN_ID,
        "job_id": JOB_ID,
        "attempt": 1,
        "follower": "local",
        "slot": "cpu-0",
        "started_at": NOON,
        "finished_at": NOON,
        "spec": {
            "model": {"name": "ppocr-rec", "version": 1},
            "service": {"platform": "onnxruntime", "device": "cpu"},
        },
        "comparability_key": "c" * 64,
        "configuration_key": "d" * 64,
        "environment": {},
        "model_card": {},
        "cold_start": ColdStart(
            spawned_ms=6, port_open_ms=812, model_loaded_ms=1204, ready_ms=1251, first_inference_ms=1302
        ),
        "load": LoadFidelity(
            pattern="poisson", offered_rps=20.0, sent_rps=20.0, completed_rps=19.9, planned=600, sent=600,
            completed=600, pending=0, send_lateness_p50_ms=0.1, send_lateness_p99_ms=0.4, send_lateness_max_ms=1.0,
            max_in_flight=3, seed=1, plan_sha256="e" * 64,
        ),
        "response_latency": latency(),
        "service_latency": latency(12.0),
        "wire_latency": None,
        "warmup_s": 2.0,
        "stages": {name: stage(mean_ms) for name, mean_ms in STAGE_MEANS_MS.items()},
        "throughput_rps": 19.9,
        "throughput_samples_per_s": 19.9,
        "errors": {},
        "error_rate": 0.0,
        "server": Resources(cpu_mean_pct=97.2, cpu_max_pct=121.0, rss_max_bytes=210 * 1024**2, samples=100),
        "client": Resources(cpu_mean_pct=12.4, cpu_max_pct=20.0, rss_max_bytes=80 * 1024**2, samples=100),
        "host": HostUse(foreign_share=0.01, steal_share=0.0, throttled_share=None, collector_share=0.002),
        "calibration": None,
        "goodput": None,
        "batch_size_mean": 1.25,
        "quality": QUALITY,
        "slo": (SloCheck(limit="p99_ms", allowed=50.0, measured=31.22, met=True),),
        "verdict": Verdict(kind="stable", windows_spread=0.03, latency_slope_p=0.4, in_flight_slope_p=0.5, lag1=0.1),
    }  # fmt: skip
    return Record(**(parts | changes))


def load() -> LoadFidelity:
    """That of ``record``."""
    found = record().load
    assert found is not None
    return found


def run_view(index: int = 0, state: RunState = RunState.SUCCEEDED, **changes: Any) -> RunView:
    """A run of the job ``JOB_ID``."""
    parts: dict[str, Any] = {
        "id": f"{JOB_ID}.{index:04d}",
        "job_id": JOB_ID,
        "index": index,
        "state": state,
        "attempt": 1,
        "fence": 1,
        "follower": "local",
        "predicted_s": 14.5,
        "created_at": NOON,
        "updated_at": NOON,
        "spec": {},
    }
    return RunView(**(parts | changes))


def job_view(*runs: RunView, state: str = "succeeded", **changes: Any) -> JobView:
    """A job with these runs."""
    counts: dict[RunState, int] = {}
    for run in runs:
        counts[run.state] = counts.get(run.state, 0) + 1
    parts: dict[str, Any] = {
        "id": JOB_ID,
        "name": "quickstart",
        "team": "vision",
        "owner": "admin",
        "priority": "normal",
        "state": state,
        "run_count": len(runs),
        "run_states": counts,
        "created_at": NOON,
        "spec": {},
        "runs": runs,
    }
    return JobView(**(parts | changes))


def event_view(event_id: str, kind: str, message: str = "", at: datetime = NOON) -> EventView:
    """An event of the run ``RUN_ID``."""
    return EventView(id=event_id, run_id=RUN_ID, at=at, kind=kind, message=message)


def is_clean(verdict: Verdict) -> bool:
    """Stable, and nothing to be said against it."""
    return verdict.kind == "stable" and not verdict.reasons
