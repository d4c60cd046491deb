"""From the started service to the record: wait for it, check its answers, load it, collect, analyse."""

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from follower.attempt.answers import MOST_CHECKED, ask_all, grade, metric_of
from follower.attempt.measure import Measuring, run_load
from follower.attempt.prepare import Prepared, own_pids
from follower.attempt.record import Findings, build_record
from follower.attempt.story import Story
from follower.generate.blob_cache import file_sha256
from follower.generate.requests import payloads, synthetic_requests
from follower.inventory.cpu import cpu_quota_cores
from follower.load.process_sender import ProcessSender
from follower.load.protocol import EncodedRequest, HttpTarget, LoadOutcome, LoadRequest
from shared.measure.samples_file import read_samples
from follower.load.work import work_of
from follower.serve.launch.log import tail
from follower.serve.protocol import ModelMetadata, Service
from shared.clock import Clock
from shared.errors import AttemptFailed
from shared.jobs.lifecycle import Cause
from shared.measure.analyze import Circumstances, Measurement, analyze
from shared.measure.record import ColdStart, Quality, Record
from shared.workload.arrivals import make_plan

NO_LABELS: Final = "quality is not available: the dataset has no labels"
NO_ANSWERS: Final = "quality is not available: the pipeline does not end in answers"


@dataclass(frozen=True)
class Loaded:
    """What the load left behind."""

    request: LoadRequest
    outcome: LoadOutcome
    measuring: Measuring
    in_force: dict[str, Any]


def benchmark(prepared: Prepared, service: Service, story: Story, clock: Clock, started_at: datetime) -> Record:
    """Measure the started service, stop it, and say what was found.

    Raises:
        AttemptFailed: the service never got ready, died, or answered nothing; the sender failed.
    """
    cold_start = _await_ready(prepared, service, story)
    request = build_load(prepared, service.metadata(), service)
    quality, notes = _check_answers(prepared, service, request, story)
    loaded = _load(prepared, service, request, story)
    service.stop()
    story.tell("collecting", "the load is over; the samples are read")
    measurement = _analyze(prepared, loaded)
    findings = Findings(
        started_at=started_at,
        finished_at=clock.utc_now(),
        card=prepared.model.card,
        cold_start=cold_start,
        measurement=measurement,
        server=loaded.measuring.server_resources(),
        client=loaded.measuring.client_resources(),
        quality=quality,
        in_force=loaded.in_force,
        samples_sha256=file_sha256(prepared.directory.samples),
        notes=notes,
    )
    return build_record(prepared.order, findings)


def _await_ready(prepared: Prepared, service: Service, story: Story) -> ColdStart:
    cold_start = service.wait_ready(prepared.order.assignment.spec.service.ready_timeout)
    ready_ms = cold_start.first_inference_ms
    story.tell("ready", f"first answer after {ready_ms:.0f} ms", **cold_start.model_dump())
    return cold_start


def build_load(prepared: Prepared, model: ModelMetadata, service: Service) -> LoadRequest:
    """What the sender gets.

    Raises:
        AttemptFailed: PIPELINE_FAILED where the requests do not fit the model.
    """
    spec, slot = prepared.order.assignment.spec, prepared.order.slot
    requests = spec.requests
    encoded: tuple[EncodedRequest, ...] = ()
    raw: tuple[tuple[bytes, ...], ...] = ()
    if prepared.dataset is None:
        encoded = synthetic_requests(model, requests.batch_size, requests.distinct, spec.workload.seed)
    else:
        _require_one_input(model)
        raw = payloads([sample.data for sample in prepared.dataset.samples], requests.batch_size)
    endpoint = service.endpoint
    return LoadRequest(
        plan=make_plan(spec.workload, len(encoded or raw)),
        target=HttpTarget(host=endpoint.host, port=endpoint.port, path=f"/v2/models/{endpoint.model_name}/infer"),
        encoded=encoded,
        raw=raw,
        pipeline=spec.pipeline,
        input_name=model.inputs[0].name,
        input_datatype=model.inputs[0].datatype,
        output_name=model.outputs[0].name,
        labels=prepared.model.card.labels,
        request_timeout_ns=spec.workload.request_timeout,
        client_cores=slot.client_cores,
        own_core=bool(slot.client_cores) and not set(slot.client_cores) & set(slot.server_cores),
        samples_path=prepared.directory.samples,
    )


def _require_one_input(model: ModelMetadata) -> None:
    if len(model.inputs) != 1:
        names = ", ".join(tensor.name for tensor in model.inputs)
        raise AttemptFailed(Cause.PIPELINE_FAILED, f"a dataset feeds one input; model {model.name} takes {names}")


def _check_answers(
    prepared: Prepared, service: Service, request: LoadRequest, story: Story
) -> tuple[Quality | None, tuple[str, ...]]:
    """Quality over every distinct sample, before any load; or why there is none."""
    dataset, batch_size = prepared.dataset, prepared.order.assignment.spec.requests.batch_size
    if dataset is None:
        return None, ()
    metric = metric_of(request.pipeline)
    if metric is None:
        return None, (NO_ANSWERS,)
    if not any(sample.label is not None for sample in dataset.samples):
        return None, (NO_LABELS,)
    count = min(len(request.raw), -(-MOST_CHECKED // batch_size))
    story.tell("checking-answers", f"{len(dataset.samples)} samples, once each")
    answered = ask_all(work_of(request), request.target, count, request.request_timeout_ns, service.check)
    quality = grade(metric, dataset.samples, answered, batch_size)
    labelled = sum(sample.label is not None for sample in dataset.samples)
    partial = f"quality is over {quality.n} of {labelled} labelled samples"
    return quality, (partial,) if quality.n < labelled else ()


def _load(prepared: Prepared, service: Service, request: LoadRequest, story: Story) -> Loaded:
    measuring = Measuring(
        plan=request.plan, service=service, story=story, cores=prepared.slot_cores, own_pids=own_pids()
    )
    in_force = _in_force(prepared, service)
    outcome = run_load(ProcessSender(), request, measuring)
    service.check()
    in_force["busy_share_of_others_in_window"] = measuring.busy_share()
    return Loaded(request, outcome, measuring, in_force)


def _in_force(prepared: Prepared, service: Service) -> dict[str, Any]:
    """What is really so, read back from the running processes."""
    dataset = prepared.dataset
    return {
        "server_affinity": _affinity(service.pids()),
        "attempt_affinity": _affinity([0]),
        "cpu_quota_cores": cpu_quota_cores(),
        "busy_share_of_others_before": prepared.preflight.busy_share,
        "dataset": dataset and {"name": dataset.name, "samples": len(dataset.samples), "sha256": dataset.sha256},
    }


def _affinity(pids: Sequence[int]) -> list[int]:
    """The cores that these processes may run on; one that has just ended runs nowhere."""
    cores: set[int] = set()
    for pid in pids:
        with suppress(ProcessLookupError):
            cores |= os.sched_getaffinity(pid)
    return sorted(cores)


def _analyze(prepared: Prepared, loaded: Loaded) -> Measurement:
    """Summaries and verdict.

    Raises:
        AttemptFailed: NO_SUCCESSFUL_REQUEST where the window has none to summarise.
    """
    spec = prepared.order.assignment.spec
    columns = read_samples(prepared.directory.samples)
    circumstances = Circumstances(
        max_in_flight=loaded.outcome.max_in_flight,
        mean_in_flight=loaded.outcome.mean_in_flight,
        batch_size=spec.requests.batch_size,
        client=loaded.measuring.client_resources(),
        client_cores=len(loaded.request.client_cores) or 1,
        host_busy=_host_busy(prepared, loaded.measuring),
        slo=spec.slo,
    )
    measurement = analyze(columns, loaded.request.plan, loaded.outcome.origin_ns, circumstances)
    if measurement.response_latency.n == 0:
        kinds = ", ".join(f"{kind} {count}" for kind, count in measurement.errors.items() if count)
        raise AttemptFailed(
            Cause.NO_SUCCESSFUL_REQUEST,
            f"no request of the window succeeded: {kinds or 'none was sent'}",
            log_tail=tail(prepared.directory.server / "server.log"),
        )
    return measurement


def _host_busy(prepared: Prepared, measuring: Measuring) -> str | None:
    reasons = [prepared.preflight.reason] if prepared.preflight.reason else []
    share = measuring.busy_share()
    if prepared.order.preflight != "off" and share is not None and share > prepared.order.max_busy_share:
        reasons.append(f"others used {share:.0%} of the slot's cores during the window")
    return "; ".join(reasons) or None
