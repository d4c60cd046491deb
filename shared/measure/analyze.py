"""From raw samples to everything that the record says about them. Pure: same columns, same plan, same figures."""

from dataclasses import dataclass

import numpy as np

from shared.jobs.slo import SloSpec
from shared.measure.backlog import backlog_of
from shared.measure.columns import NOT_AVAILABLE, Columns
from shared.measure.failures import error_rate, errors_by_kind
from shared.measure.fidelity import load_fidelity
from shared.measure.latency import response_ns, service_ns, summarize
from shared.measure.little import little_error
from shared.measure.record import (
    LatencySummary,
    LoadFidelity,
    Resources,
    SloCheck,
    Stage,
    StageSummary,
    Validity,
)
from shared.measure.slo import check_slo
from shared.measure.stages import summarize_stages
from shared.measure.validity import Evidence, judge
from shared.measure.windows import due_in, succeeded, window_of
from shared.workload.plan import Plan


@dataclass(frozen=True, kw_only=True)
class Circumstances:
    """What the columns cannot tell."""

    max_in_flight: int
    mean_in_flight: float | None = None  # as the sender counted it over the window
    batch_size: int = 1  # samples in one request
    client: Resources | None = None  # of the sender, over the window
    client_cores: int = 1
    host_busy: str | None = None  # why the host was not idle enough
    slo: SloSpec | None = None


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """The measured part of a record, under the record's own names."""

    load: LoadFidelity
    response_latency: LatencySummary
    service_latency: LatencySummary
    stages: dict[Stage, StageSummary]
    throughput_rps: float
    throughput_samples_per_s: float
    errors: dict[str, int]
    error_rate: float
    batch_size_mean: float | None
    slo: tuple[SloCheck, ...]
    validity: Validity
    notes: tuple[str, ...]


def analyze(columns: Columns, plan: Plan, origin_ns: int, circumstances: Circumstances) -> Measurement:
    """Everything that the samples of one run say.

    Latencies and stages are over the successful requests due inside the window; failures are in ``errors``, and in
    the percentiles of the SLO check as requests that took for ever.
    """
    window = window_of(plan, origin_ns)
    rows = due_in(columns, window)
    successes = {name: column[succeeded(rows)] for name, column in rows.items()}
    load = load_fidelity(columns, plan, origin_ns, circumstances.max_in_flight)
    response = response_ns(successes)
    stages = summarize_stages(successes)
    rate = error_rate(rows)
    counted = circumstances.mean_in_flight
    evidence = Evidence(
        load=load,
        window_s=window.duration_s,
        samples=len(response),
        error_rate=rate,
        unattributed_share=_unattributed_share(stages),
        backlog=backlog_of(columns, window) if plan.concurrency is None else None,
        little_error=None if counted is None else little_error(columns, window, counted),
        client_cpu_pct=circumstances.client.cpu_mean_pct if circumstances.client else None,
        client_cores=circumstances.client_cores,
        host_busy=circumstances.host_busy,
    )
    return Measurement(
        load=load,
        response_latency=summarize(response),
        service_latency=summarize(service_ns(successes)),
        stages=stages,
        throughput_rps=load.completed_rps,
        throughput_samples_per_s=load.completed_rps * circumstances.batch_size,
        errors=errors_by_kind(rows),
        error_rate=rate,
        batch_size_mean=_batch_size_mean(successes),
        slo=check_slo(
            circumstances.slo, np.sort(response), len(rows["error"]) - len(response), rate, load.completed_rps
        ),
        validity=judge(evidence),
        notes=_notes(stages, len(response)),
    )


def _unattributed_share(stages: dict[Stage, StageSummary]) -> float | None:
    """None where a server did not report its part: then the rest is not the sender's lateness."""
    complete = stages["inference"].n == stages["unattributed"].n
    return stages["unattributed"].share if complete else None


def _batch_size_mean(successes: Columns) -> float | None:
    sizes = successes["batch_size"]
    reported = sizes[sizes != NOT_AVAILABLE]
    return float(reported.mean()) if len(reported) else None


def _notes(stages: dict[Stage, StageSummary], successes: int) -> tuple[str, ...]:
    reported = stages["inference"].n
    if reported == successes:
        return ()
    note = (
        f"queue, inference and transmission are not available for {successes - reported} of {successes} requests:"
        " the server did not report its part"
    )
    return (note,)
