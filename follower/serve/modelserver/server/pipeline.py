"""The pipelined model: raw samples in, what they mean out; the same ops as in the client, in threads of the server."""

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

import numpy as np
import numpy.typing as npt
from starlette.types import Receive, Scope

from follower.pipeline.chain import build_parts, build_postprocess, inputs_of, outputs_of
from follower.pipeline.protocol import Answer, PipelineFailed
from follower.serve.modelserver.pipelined import RAW_INPUT, PipelineOrder, tensors_of
from follower.serve.modelserver.server.codec import InferRequest, Tensor, decode, encode
from follower.serve.modelserver.server.infer import (
    Header,
    InferEndpoint,
    execute,
    headers_of,
    json_length_of,
    read_body,
)
from follower.serve.modelserver.server.refusal import LoadFailed, Refused
from follower.serve.modelserver.server.serving import ServingModel
from follower.serve.modelserver.server.signature import check_inputs
from follower.serve.openinference.tensors import BYTES, DTYPES, TensorInfo
from shared.jobs.feeding import Feed, Misfit, feeds_of

T = TypeVar("T")
Array = npt.NDArray[Any]

_FP64: Final = "FP64"


@dataclass(frozen=True)
class Timed(Generic[T]):
    """What a thread made, when it took it up, and how long it worked."""

    value: T
    waited_ns: int
    took_ns: int


class PipelineWorkers:
    """Both functions of the pipeline and the threads that run them: as many as the model has instances."""

    def __init__(self, order: PipelineOrder, inputs: Sequence[TensorInfo], instances: int) -> None:
        """Raises LoadFailed where the ops cannot be built, or do not feed the model's ``inputs``."""
        self._pipeline = order.pipeline
        try:
            self._feeds = feeds_of(order.pipeline, inputs)
            self._preprocess = build_parts(order.pipeline, order.tokenizer)
            self._postprocess = build_postprocess(order.pipeline, order.labels)
        except (Misfit, PipelineFailed) as error:
            raise LoadFailed(f"the pipeline cannot be built: {error}") from error
        self._threads = ThreadPoolExecutor(instances, thread_name_prefix="pipeline")

    async def prepare(self, samples: Sequence[bytes]) -> Timed[dict[str, Tensor]]:
        """The model's inputs for raw samples, by name, batch first.

        Raises:
            Refused: a sample cannot be processed, or they do not make one tensor; with status 422.
        """
        return await self._timed(lambda: self._batch(samples))

    async def conclude(self, output: Array, samples: int) -> Timed[Sequence[Answer | None]]:
        """What the output means for each sample.

        Raises:
            Refused: one cannot be processed, with status 422.
        """
        return await self._timed(lambda: [self._postprocess(row) for row in self._rows(output, samples)])

    def close(self) -> None:
        """Waits for what is being processed."""
        self._threads.shutdown(cancel_futures=True)

    def _rows(self, output: Array, samples: int) -> Array:
        try:
            return outputs_of(self._pipeline, output, samples)
        except ValueError as error:
            raise PipelineFailed(str(error)) from error

    def _batch(self, samples: Sequence[bytes]) -> dict[str, Tensor]:
        parts = [self._preprocess(sample) for sample in samples]
        try:
            arrays = inputs_of(self._pipeline, self._feeds, parts)
            return {feed.name: _tensor(feed, arrays[feed.name]) for feed in self._feeds}
        except (KeyError, TypeError, ValueError) as error:
            raise PipelineFailed(f"the samples do not make the model's tensors: {error}") from error

    async def _timed(self, work: Callable[[], T]) -> Timed[T]:
        submitted_ns = time.perf_counter_ns()
        future = asyncio.get_running_loop().run_in_executor(self._threads, _measured, work)
        try:
            value, began_ns, ended_ns = await future
        except PipelineFailed as error:
            raise Refused(f"pipeline: {error.detail}", HTTPStatus.UNPROCESSABLE_ENTITY) from error
        return Timed(value, began_ns - submitted_ns, ended_ns - began_ns)


def _tensor(feed: Feed, array: Array) -> Tensor:
    return Tensor(feed.datatype, np.ascontiguousarray(array, dtype=DTYPES[feed.datatype]))


def _measured(work: Callable[[], T]) -> tuple[T, int, int]:
    began_ns = time.perf_counter_ns()
    value = work()
    return value, began_ns, time.perf_counter_ns()


def load_pipeline(path: Path, inputs: Sequence[TensorInfo], instances: int) -> PipelineWorkers:
    """The pipeline that lies at ``path``, for a model with these inputs.

    Raises:
        LoadFailed: its ops cannot be built, or do not feed the model.
    """
    return PipelineWorkers(PipelineOrder.model_validate_json(path.read_bytes()), inputs, instances)


class PipelineEndpoint(InferEndpoint):
    """``POST /v2/models/{model}.pipeline/infer`` as an ASGI application."""

    async def answer(self, scope: Scope, receive: Receive) -> tuple[list[Header], bytes]:
        json_length = json_length_of(scope["headers"])
        body = await read_body(receive)
        received_ns = time.perf_counter_ns()
        model = self._serving.served()
        if model.pipeline is None:
            raise Refused("this server does no pipeline", HTTPStatus.NOT_FOUND)
        request = decode(body, json_length, text=False)
        samples = _samples(request)
        before = await model.pipeline.prepare(samples)
        tensors = InferRequest(request.id, before.value, (), True)
        check_inputs(model.metadata, tensors.inputs, batched=model.batched)
        executed = await execute(model, tensors)
        after = await model.pipeline.conclude(executed.outputs[0], len(samples))
        outputs = _described(model, after.value, executed.outputs[0])
        answer = encode(f"{model.metadata.name}.pipeline", request.id, outputs)
        waited_ns = executed.queue_ns + before.waited_ns + after.waited_ns
        headers = headers_of(answer, executed, time.perf_counter_ns() - received_ns, queue_ns=waited_ns)
        headers.append((b"inferbench-preprocess-ns", b"%d" % before.took_ns))
        headers.append((b"inferbench-postprocess-ns", b"%d" % after.took_ns))
        return headers, answer.body


def _samples(request: InferRequest) -> list[bytes]:
    tensor = request.inputs.get(RAW_INPUT)
    if tensor is None or len(request.inputs) > 1 or tensor.datatype != BYTES or tensor.array.ndim != 1:
        raise Refused(f"the pipelined model takes one input, {RAW_INPUT!r}: {BYTES} of shape [samples]")
    return [value if isinstance(value, bytes) else str(value).encode() for value in tensor.array]


def _described(
    model: ServingModel, answers: Sequence[Answer | None], output: Array
) -> list[tuple[TensorInfo, Array, bool]]:
    """Output tensors; the model's own output where the ops give no answers."""
    known = [answer for answer in answers if answer is not None]
    if len(known) < len(answers) or not known:
        return [(model.metadata.outputs[0], output, True)]
    return [
        (TensorInfo(name=name, datatype=BYTES if array.dtype == object else _FP64, shape=array.shape), array, True)
        for name, array in tensors_of(known).items()
    ]
