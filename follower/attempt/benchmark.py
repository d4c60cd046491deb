"""From the started service to the record: wait for it, check its answers, calibrate, load it, collect, analyse."""

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from follower.attempt.answers import MOST_CHECKED, are_answers, ask_all, grade, metric_of
from follower.attempt.calibration import Calibrated, calibrate
from follower.attempt.circumstances import circumstances_of, manifest_of
from follower.attempt.load import build_load
from follower.attempt.measure import Measuring
from follower.attempt.prepare import Prepared
from follower.attempt.record import Findings, build_record
from follower.attempt.story import Story
from follower.generate.blob_cache import file_sha256
from follower.inventory.cpu import cpu_quota_cores
from follower.load.process_sender import ProcessSender
from follower.load.protocol import LoadOutcome, LoadRequest, Sender, SenderFailed
from follower.load.work import work_of
from follower.serve.launch.log import tail
from follower.serve.protocol import Service
from shared.clock import Clock
from shared.errors import AttemptFailed
from shared.jobs.lifecycle import Cause
from shared.measure.analyze import Measurement, analyze
from shared.measure.joined_stages import with_stages
from shared.measure.manifest import Circumstances
from shared.measure.record import ColdStart, Quality, Record
from shared.measure.samples_file import write_samples

NO_LABELS: Final = "quality is not available: the dataset has no labels"
NO_ANSWERS: Final = "quality is not available: the pipeline does not end in answers"


@dataclass(frozen=True)
class Loaded:
    """What the load left behind."""

    outcome: LoadOutcome
    circumstances: Circumstances
    in_force: dict[str, Any]


def benchmark(prepared: Prepared, service: Service, story: Story, clock: Clock, started_at: datetime) -> Record:
    """Measure the started service, stop it, and say what was found.

    Raises:
        AttemptFailed: the service never got ready, died, or answered nothing; the sender failed.
    """
    cold_start = _await_ready(prepared, service, story)
    request = build_load(prepared, service.metadata(), service.endpoint)
    quality, notes = _check_answers(prepared, service, request, story)
    sender = ProcessSender()
    calibrated = calibrate(prepared, request, sender=sender, service=service, story=story, clock=clock)
    loaded = _load(prepared, service, request, calibrated, sender=sender, story=story)
    service.stop()
    story.tell("collecting", "the load is over; the samples are read")
    measurement = _analyze(prepared, request, loaded)
    findings = Findings(
        started_at=started_at,
        finished_at=clock.utc_now(),
        card=prepared.model.card,
        cold_start=cold_start,
        measurement=measurement,
        calibration=calibrated.calibration,
        quality=quality,
        in_force=loaded.in_force,
        samples_sha256=file_sha256(prepared.directory.samples),
        notes=(*notes, *loaded.outcome.notes),
    )
    return build_record(prepared.order, findings)


def _await_ready(prepared: Prepared, service: Service, story: Story) -> ColdStart:
    cold_start = service.wait_ready(prepared.order.assignment.spec.service.ready_timeout)
    ready_ms = cold_start.first_inference_ms
    story.tell("ready", f"first answer after {ready_ms:.0f} ms", **cold_start.model_dump())
    return cold_start


def _check_answers(
    prepared: Prepared, service: Service, request: LoadRequest, story: Story
) -> tuple[Quality | None, tuple[str, ...]]:
    """Quality over every distinct sample, before any load; or why there is none."""
    dataset, batch_size = prepared.dataset, prepared.order.assignment.spec.requests.batch_size
    if dataset is None:
        return None, ()
    template = request.target.template
    metric = metric_of(request.pipeline, template)
    if metric is None:
        return None, (NO_ANSWERS,)
    if not any(sample.label is not None for sample in dataset.samples):
        return None, (NO_LABELS,)
    count = min(len(request.encoded or request.raw), -(-MOST_CHECKED // batch_size))
    story.tell("checking-answers", f"{len(dataset.samples)} samples, once each")
    answered = ask_all(work_of(request), request.target, count, request.request_timeout_ns, service.check)
    if template is not None and not are_answers(answered):
        return None, (NO_ANSWERS,)
    quality = grade(metric, dataset.samples, answered, batch_size)
    labelled = sum(sample.label is not None for sample in dataset.samples)
    partial = f"quality is over {quality.n} of {labelled} labelled samples"
    return quality, (partial,) if quality.n < labelled else ()


def _load(
    prepared: Prepared,
    service: Service,
    request: LoadRequest,
    calibrated: Calibrated,
    *,
    sender: Sender,
    story: Story,
) -> Loaded:
    """The plan, start to end, with everything that is read beside it.

    Raises:
        AttemptFailed: the service or the sender ended early; of a sender, the rows that it left are kept as samples.
    """
    order, cores = prepared.order, prepared.slot_cores
    measuring = Measuring(plan=request.plan, service=service, story=story, cores=cores, gpus=order.slot.gpus)
    in_force = in_force_of(prepared, service)
    try:
        outcome = sender.run(request, on_start=measuring.on_start, keep_going=measuring.keep_going)
    except SenderFailed as error:
        write_samples(error.columns, None, prepared.directory.samples)
        raise
    finally:
        readings = measuring.finish()
    service.check()
    outcome = _with_stages(outcome, service)
    circumstances = circumstances_of(
        order,
        outcome,
        readings,
        calibrated,
        host_cores=len(cores),
        busy_before=prepared.preflight.busy_share,
        link=prepared.link.reading,
    )
    return Loaded(outcome, circumstances, in_force)


def _with_stages(outcome: LoadOutcome, service: Service) -> LoadOutcome:
    """With what the server wrote down of single requests, where their answers did not say it."""
    stages = service.request_stages()
    if stages is None or not len(outcome.numbers):
        return outcome
    columns = with_stages(
        outcome.columns,
        outcome.numbers,
        request_id=stages.request_id,
        queue_ns=stages.queue_ns,
        inference_ns=stages.inference_ns,
    )
    return replace(outcome, columns=columns)


def in_force_of(prepared: Prepared, service: Service) -> dict[str, Any]:
    """What is really so, read back from the running processes."""
    dataset = prepared.dataset
    return {
        "service": dict(service.facts()),
        "server_affinity": _affinity(service.pids()),
        "attempt_affinity": _affinity([0]),
        "cpu_quota_cores": cpu_quota_cores(),
        "dataset": dataset and {"name": dataset.name, "samples": len(dataset.samples), "sha256": dataset.sha256},
    }


def _affinity(pids: Sequence[int]) -> list[int]:
    """The cores that these processes may run on; one that has just ended runs nowhere."""
    cores: set[int] = set()
    for pid in pids:
        with suppress(ProcessLookupError):
            cores |= os.sched_getaffinity(pid)
    return sorted(cores)


def _analyze(prepared: Prepared, request: LoadRequest, loaded: Loaded) -> Measurement:
    """Leaves the raw file, then summaries and verdict.

    Raises:
        AttemptFailed: NO_SUCCESSFUL_REQUEST where the window has none to summarise.
    """
    manifest = manifest_of(prepared.order, request, loaded.circumstances)
    write_samples(loaded.outcome.columns, manifest, prepared.directory.samples)
    measurement = analyze(loaded.outcome.columns, request.plan, loaded.circumstances)
    if measurement.response_latency.n == 0:
        kinds = ", ".join(f"{kind} {count}" for kind, count in measurement.errors.items() if count)
        raise AttemptFailed(
            Cause.NO_SUCCESSFUL_REQUEST,
            f"no request of the window succeeded: {kinds or 'none was sent'}",
            log_tail=tail(prepared.directory.server / "server.log"),
        )
    return measurement
