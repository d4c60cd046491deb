"""Raw files of runs that nobody made: a plan, latencies of a known law, and the record that follows from them."""

from typing import Any

import numpy as np
import numpy.typing as npt
from support.records import RUN_ID, record
from support.samples import ORIGIN_NS

from shared.jobs.spec import RunSpec
from shared.measure.analyze import analyze
from shared.measure.columns import COLUMNS, ERROR_KINDS, NOT_AVAILABLE
from shared.measure.manifest import Circumstances, Manifest, ProcessReading
from shared.measure.metrics import metrics_of
from shared.measure.record import Record
from shared.measure.samples_file import Samples
from shared.workload.arrivals import make_plan
from shared.workload.plan import Plan

PAYLOADS = 8
POISSON = {"pattern": "poisson", "rate": 200, "warmup": "1s", "duration": "10s"}


def spec_of(workload: dict[str, Any], **sections: Any) -> RunSpec:
    """A run of a generated model under this load."""
    return RunSpec.model_validate({"model": {"generate": {"family": "fc"}}, "workload": workload} | sections)


def columns_at(due_ns: npt.NDArray[np.int64], latency_ns: npt.NDArray[np.int64]) -> dict[str, npt.NDArray[Any]]:
    """Requests sent the moment they were due, all answered; the server says nothing. Shape (n,) each."""
    rows = len(due_ns)
    columns: dict[str, npt.NDArray[Any]] = {
        name: np.full(rows, NOT_AVAILABLE if name.startswith(("server_", "wire")) else 0, kind)
        for name, kind in COLUMNS.items()
    }
    for name in ("due_ns", "start_ns", "send_start_ns", "send_end_ns"):
        columns[name] = due_ns.astype(np.int64)
    for name in ("first_byte_ns", "last_byte_ns", "done_ns"):
        columns[name] = due_ns + latency_ns
    columns["status"] = np.full(rows, 200, np.int32)
    columns["batch_size"] = np.full(rows, NOT_AVAILABLE, np.int32)
    return columns


def lognormal_ns(rows: int, seed: int, *, median_ms: float = 10.0, sigma: float = 0.3) -> npt.NDArray[np.int64]:
    """Independent latencies, shape (rows,)."""
    return np.rint(np.random.default_rng(seed).lognormal(np.log(median_ms * 1e6), sigma, rows)).astype(np.int64)


def raw_samples(
    workload: dict[str, Any] = POISSON,
    *,
    seed: int = 1,
    factor: float = 1.0,
    plan: Plan | None = None,
    run_id: str = RUN_ID,
    failed: int = 0,
    **circumstances: Any,
) -> Samples:
    """What a follower would have written of an open-loop run with log-normal latencies.

    Args:
        workload: of the job file.
        seed: of plan and latencies.
        factor: on every latency.
        plan: where it is not the workload's own.
        run_id: of the manifest.
        failed: how many of the last requests ended in a timeout.
        circumstances: more of them.
    """
    spec = spec_of({**workload, "seed": seed})
    plan = plan or make_plan(spec.workload, PAYLOADS)
    latency_ns = np.rint(factor * lognormal_ns(len(plan.due_ns), seed)).astype(np.int64)
    columns = columns_at(ORIGIN_NS + plan.due_ns, latency_ns)
    columns["payload"] = plan.payload.copy()
    if failed:
        columns["error"][-failed:] = ERROR_KINDS.index("timeout")
    manifest = Manifest(
        run_id=run_id,
        attempt=1,
        spec=spec.model_dump(mode="json"),
        payload_count=PAYLOADS,
        plan_sha256=plan.sha256,
        circumstances=Circumstances(
            origin_ns=ORIGIN_NS,
            max_in_flight=20,
            server=readings(plan, 0.7),
            client=readings(plan, 0.1),
            slo=spec.slo,
            **circumstances,
        ),
    )
    return Samples(columns, manifest)


def readings(plan: Plan, cores: float) -> tuple[ProcessReading, ...]:
    """A process that keeps so many cores busy, looked at four times a second."""
    step_ns = 250_000_000
    return tuple(
        ProcessReading(at_ns=ORIGIN_NS + at, cpu_ns=round(cores * at), rss_bytes=100_000_000 + at // 1000, threads=3)
        for at in range(0, plan.end_ns + step_ns, step_ns)
    )


def record_of(samples: Samples, plan: Plan | None = None, **changes: Any) -> Record:
    """The record that a follower would have delivered with these samples, as the API gives it back."""
    manifest = samples.manifest
    assert manifest is not None
    spec = RunSpec.model_validate(manifest.spec)
    plan = plan or make_plan(spec.workload, manifest.payload_count)
    measured = analyze(samples.columns, plan, manifest.circumstances)
    made = record(
        run_id=manifest.run_id,
        spec=manifest.spec,
        calibration=manifest.circumstances.calibration,
        **{**vars(measured), "notes": (*measured.notes, "said by the attempt")},
        **changes,
    )
    return Record.model_validate_json(made.model_copy(update={"metrics": metrics_of(made)}).model_dump_json())
