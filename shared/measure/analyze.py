"""From raw samples to everything that the record says about them. Pure: same columns, same plan, same figures."""

from collections.abc import Iterator
from dataclasses import dataclass

from shared.measure.bookkeeping import faults
from shared.measure.columns import NOT_AVAILABLE, Columns
from shared.measure.failures import error_rate, errors_by_kind
from shared.measure.fidelity import completing_s, load_fidelity
from shared.measure.goodput import goodput_of
from shared.measure.independence import lag1
from shared.measure.latency import response_ns, service_ns, summarize, wire_ns
from shared.measure.link import LinkReading
from shared.measure.little import little_error
from shared.measure.manifest import Circumstances
from shared.measure.measured_run import MeasuredRun, measured_run
from shared.measure.record import (
    DeviceUse,
    Goodput,
    HostUse,
    LatencySummary,
    LoadFidelity,
    Resources,
    SloCheck,
    Stage,
    StageSummary,
    Verdict,
)
from shared.measure.resources import summarize_devices, summarize_host, summarize_processes
from shared.measure.server_work import ServerWork, server_work
from shared.measure.slo import Measured, check_slo
from shared.measure.stages import summarize_stages
from shared.measure.stationarity import Stationarity, stationarity_of
from shared.measure.verdict import Evidence, judge
from shared.measure.windows import is_all_at_once, is_steady, succeeded
from shared.workload.plan import Plan


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """The measured part of a record, under the record's own names."""

    load: LoadFidelity
    response_latency: LatencySummary
    service_latency: LatencySummary
    wire_latency: LatencySummary | None
    warmup_s: float
    stages: dict[Stage, StageSummary]
    throughput_rps: float
    throughput_samples_per_s: float
    errors: dict[str, int]
    error_rate: float
    server: Resources
    client: Resources
    host: HostUse
    devices: tuple[DeviceUse, ...]
    batch_size_mean: float | None
    server_work: ServerWork | None
    slo: tuple[SloCheck, ...]
    goodput: Goodput | None
    verdict: Verdict
    link: LinkReading | None
    notes: tuple[str, ...]


def analyze(columns: Columns, plan: Plan, circumstances: Circumstances) -> Measurement:
    """Everything that the samples of one run say, in whatever order its rows are.

    Latencies and stages are over the successful requests due inside the measured window; failures are in ``errors``,
    and in the percentiles with failures as requests that took for ever. The measured window is the planned one, less
    what its start still owed to warming up.
    """
    run = measured_run(columns, plan, circumstances)
    start_ns, end_ns = run.window.start_ns, run.window.end_ns
    load = load_fidelity(run.columns, plan, circumstances.origin_ns, run.window, circumstances.max_in_flight)
    response = summarize(response_ns(run.rows), failed=~succeeded(run.rows), unsteady=run.unsteady)
    goodput = _goodput(run)
    stages = summarize_stages(run.successes)
    work = server_work(circumstances.counters, circumstances.origin_ns)
    client = summarize_processes(circumstances.client, start_ns, end_ns)
    host = summarize_host(
        circumstances.host, start_ns, end_ns, circumstances.collector_cpu_ns, circumstances.host_cores
    )
    return Measurement(
        load=load,
        response_latency=response,
        service_latency=summarize(service_ns(run.successes), unsteady=run.unsteady),
        wire_latency=_wire_latency(run),
        warmup_s=(start_ns - circumstances.origin_ns) / 1e9,
        stages=stages,
        throughput_rps=load.completed_rps,
        throughput_samples_per_s=load.completed_rps * circumstances.batch_size,
        errors=errors_by_kind(run.rows),
        error_rate=error_rate(run.rows),
        server=summarize_processes(circumstances.server, start_ns, end_ns),
        client=client,
        host=host,
        devices=summarize_devices(circumstances.devices, start_ns, end_ns),
        batch_size_mean=_batch_size_mean(run.successes, work),
        server_work=work,
        slo=_slo(run, response, load, goodput),
        goodput=goodput,
        verdict=judge(_evidence(run, load, client, host)),
        link=circumstances.link,
        notes=tuple(_notes(run, stages)),
    )


def _evidence(run: MeasuredRun, load: LoadFidelity, client: Resources, host: HostUse) -> Evidence:
    facts, plan = run.circumstances, run.plan
    response = response_ns(run.successes)
    lateness_ns = int((run.successes["start_ns"] - run.successes["due_ns"]).sum())
    counted = facts.mean_in_flight
    return Evidence(
        load=load,
        window_s=run.window.duration_s,
        samples=len(response),
        error_rate=error_rate(run.rows),
        lateness_share=lateness_ns / float(response.sum()) if response.sum() > 0 else None,
        cap_reached=run.cap_reached,
        all_at_once=is_all_at_once(plan),
        overload=run.overload,
        settled=run.settled,
        stationarity=_stationarity(run),
        lag1=lag1(response),
        little_error=None if counted is None else little_error(run.columns, run.planned_window, counted),
        faults=tuple(faults(run.columns, plan, facts.origin_ns)),
        client_cpu_pct=client.cpu_mean_pct,
        client_cores=facts.client_cores,
        calibration=facts.calibration,
        host=host,
        busy_before=facts.busy_before,
        limits=facts.limits,
        link=facts.link,
    )


def _stationarity(run: MeasuredRun) -> Stationarity:
    if not is_steady(run.plan):
        return Stationarity()
    return stationarity_of(run.columns, run.window, closed=bool(run.plan.concurrency))


def _slo(
    run: MeasuredRun, response: LatencySummary, load: LoadFidelity, goodput: Goodput | None
) -> tuple[SloCheck, ...]:
    measured = Measured(
        response_ns=response_ns(run.rows),
        failed=~succeeded(run.rows),
        summary=response,
        error_rate=error_rate(run.rows),
        throughput_rps=load.completed_rps,
        goodput=goodput,
        unsteady=run.unsteady,
    )
    return check_slo(run.circumstances.slo, measured)


def _goodput(run: MeasuredRun) -> Goodput | None:
    slo = run.circumstances.slo
    return goodput_of(run.rows, slo.request if slo else None, completing_s(run.columns, run.plan, run.window))


def _wire_latency(run: MeasuredRun) -> LatencySummary | None:
    taken = wire_ns(run.successes)
    return summarize(taken, unsteady=run.unsteady) if len(taken) else None


def _batch_size_mean(successes: Columns, work: ServerWork | None) -> float | None:
    """Over the requests whose answers tell it; where none does, over the executions that the server counted."""
    sizes = successes["batch_size"]
    reported = sizes[sizes != NOT_AVAILABLE]
    if len(reported):
        return float(reported.mean())
    return work.batch_size_mean if work else None


def _notes(run: MeasuredRun, stages: dict[Stage, StageSummary]) -> Iterator[str]:
    successes, reported = len(run.successes["due_ns"]), stages["inference"].n
    if reported < successes:
        yield (
            f"queue, inference and transmission are not available for {successes - reported} of {successes} requests:"
            " the server did not report its part"
        )
    if not is_steady(run.plan):
        yield f"whether the run drifted was not judged: the load of pattern {run.plan.pattern} is not level on purpose"
    for name, why in run.circumstances.unavailable.items():
        yield f"{name} is not available: {why}"
