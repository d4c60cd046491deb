"""What the sender gets: plan, target and requests, from what the job says and the service describes."""

from dataclasses import replace

from follower.attempt.prepare import Prepared
from follower.generate.requests import payloads, raw_requests, synthetic_requests
from follower.load.dialects import target_of
from follower.load.protocol import LoadRequest
from follower.serve.protocol import Endpoint, ModelMetadata
from shared.errors import AttemptFailed, InvalidInput
from shared.jobs.feeding import Feed
from shared.jobs.lifecycle import Cause
from shared.jobs.workload import ClosedWorkload, ColdStartWorkload
from shared.wire.identity import Slot
from shared.workload.arrivals import make_plan
from shared.workload.plan import Plan


def build_load(prepared: Prepared, model: ModelMetadata, endpoint: Endpoint) -> LoadRequest:
    """The whole load, ready to be sent.

    Raises:
        AttemptFailed: PIPELINE_FAILED where the requests do not fit the model, or a trace does not fit the workload.
    """
    spec, slot = prepared.order.assignment.spec, prepared.order.slot
    requests = spec.requests
    link = prepared.link
    target = target_of(link.through(endpoint))
    encoded: tuple[bytes, ...] = ()
    raw: tuple[tuple[bytes, ...], ...] = ()
    feeds: tuple[Feed, ...] = ()
    if prepared.dataset is None:
        encoded = synthetic_requests(target, model, requests.batch_size, requests.distinct, spec.workload.seed)
    else:
        feeds = prepared.feeds(model.inputs)
        raw = payloads([sample.data for sample in prepared.dataset.samples], requests.batch_size)
    pipelined = prepared.dataset is not None and spec.pipeline.in_server
    if pipelined:
        target = target_of(replace(link.through(endpoint), model_name=_pipeline_model(endpoint)))
        encoded, raw = raw_requests(target, raw), ()
    return LoadRequest(
        plan=_plan(prepared, len(encoded or raw)),
        target=target,
        encoded=encoded,
        raw=raw,
        pipeline=spec.pipeline,
        server_pipeline=pipelined,
        feeds=feeds,
        tokenizer=prepared.tokenizer,
        output_name=model.outputs[0].name,
        labels=prepared.model.card.labels,
        request_timeout_ns=spec.workload.request_timeout,
        client_cores=link.sender_cores(slot.client_cores),
        own_core=_have_own_core(slot) and link.leaves_cores_alone,
        folder=prepared.directory.root,
        kernel_timestamps=spec.collect.kernel_timestamps,
    )


def _pipeline_model(endpoint: Endpoint) -> str:
    if endpoint.pipeline_model is None:
        raise AttemptFailed(Cause.PIPELINE_FAILED, f"the service of {endpoint.model_name} does no pipeline itself")
    return endpoint.pipeline_model


def _have_own_core(slot: Slot) -> bool:
    return bool(slot.client_cores) and not set(slot.client_cores) & set(slot.server_cores)


def _plan(prepared: Prepared, payload_count: int) -> Plan:
    """A cold start takes the order of payloads only: one inference after another."""
    workload = prepared.order.assignment.spec.workload
    if isinstance(workload, ColdStartWorkload):
        workload = ClosedWorkload(pattern="closed", seed=workload.seed)
    try:
        return make_plan(workload, payload_count, prepared.trace_ns)
    except InvalidInput as error:
        raise AttemptFailed(Cause.PIPELINE_FAILED, f"the workload cannot be planned: {error.detail}") from error
