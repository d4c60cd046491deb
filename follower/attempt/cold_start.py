"""Pattern ``cold-start``: the service from nothing, as often as asked for, through the Platform contract only."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from follower.attempt import page_cache
from follower.attempt.benchmark import in_force_of
from follower.attempt.circumstances import limits_of
from follower.attempt.load import build_load
from follower.attempt.one_by_one import inferences
from follower.attempt.prepare import Prepared
from follower.attempt.record import Findings, build_record
from follower.attempt.remains import Traces
from follower.attempt.story import Story
from follower.serve.platforms import find_platform
from follower.serve.protocol import Service
from shared.clock import Clock
from shared.jobs.workload import ColdStartWorkload
from shared.measure.cold_starts import analyze_cold_starts, steady_of, typical
from shared.measure.latency import Durations
from shared.measure.record import ColdStart, ColdStartRepeat, Record

NO_QUALITY: Final = "quality is not available: a cold start checks no answers"
_NS_PER_MS: Final = 1_000_000


@dataclass(frozen=True)
class Started:
    """One start, as far as it is known while the service runs."""

    phases: ColdStart
    traces: Traces
    latencies_ns: Durations  # of the inferences after the first answer, shape (n,)
    in_force: Mapping[str, Any]


def measure_cold_starts(
    prepared: Prepared, workload: ColdStartWorkload, story: Story, clock: Clock, started_at: datetime
) -> Record:
    """Start, first answer, a few inferences, stop; then again.

    Raises:
        AttemptFailed: a start failed, or something of it was left; one repeat without an answer is no measurement.
    """
    repeats: list[ColdStartRepeat] = []
    in_force: Mapping[str, Any] = {}
    for number in range(1, workload.repeats + 1):
        repeat, in_force = _repeat(prepared, workload, story, number)
        repeats.append(repeat)
        story.tell("cold-start", _told(number, workload, repeat), **repeat.model_dump())
    story.tell("collecting", "the starts are over")
    findings = Findings(
        started_at=started_at,
        finished_at=clock.utc_now(),
        card=prepared.model.card,
        cold_start=typical(repeats),
        measurement=analyze_cold_starts(
            repeats,
            workload.cache,
            busy_before=prepared.preflight.busy_share,
            limits=limits_of(prepared.order),
        ),
        calibration=None,
        quality=None,
        in_force=dict(in_force),
        samples_sha256=None,
        notes=(NO_QUALITY,),
    )
    return build_record(prepared.order, findings)


def _repeat(
    prepared: Prepared, workload: ColdStartWorkload, story: Story, number: int
) -> tuple[ColdStartRepeat, Mapping[str, Any]]:
    """One start in a directory of its own, so that it finds no file of the last one."""
    request = prepared.serve_request()
    request = replace(request, workdir=request.workdir / f"start-{number:03d}")
    page_cache.put(request.model_path, workload.cache)
    cached_share = page_cache.cached_share(request.model_path)
    story.tell("starting-server", f"{number} of {workload.repeats}: {request.service.platform}, cache {workload.cache}")
    service = find_platform(request.service.platform).start(request)
    try:
        started = _started(prepared, workload, service)
    finally:
        stopping_ns = time.monotonic_ns()
        service.stop()
    started.traces.await_gone()
    steady = steady_of(started.latencies_ns)
    repeat = ColdStartRepeat(
        phases=started.phases,
        inferences=len(started.latencies_ns),
        steady_ms=steady.median_ms,
        steady_after=steady.after,
        cached_share=cached_share,
        stopped_ms=(time.monotonic_ns() - stopping_ns) / _NS_PER_MS,
    )
    return repeat, started.in_force


def _started(prepared: Prepared, workload: ColdStartWorkload, service: Service) -> Started:
    phases = service.wait_ready(prepared.order.assignment.spec.service.ready_timeout)
    load = build_load(prepared, service.metadata(), service.endpoint)
    latencies_ns = inferences(load, workload.inferences, service.log_path)
    return Started(phases, Traces.of(service), latencies_ns, in_force_of(prepared, service))


def _told(number: int, workload: ColdStartWorkload, repeat: ColdStartRepeat) -> str:
    steady = "never steady" if repeat.steady_after is None else f"steady after {repeat.steady_after} inferences"
    return f"{number} of {workload.repeats}: first answer after {repeat.phases.first_inference_ms:.0f} ms, {steady}"
