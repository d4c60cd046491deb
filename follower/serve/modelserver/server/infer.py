"""The hot path: one infer request from its bytes to its answer's, straight on ASGI.

No framework object is made per request and nothing is validated twice; what the framework would add is measurable
against the models that are benchmarked here.
"""

import asyncio
import json
import time
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any, Final

import numpy.typing as npt
from starlette.types import Receive, Scope, Send

from follower.serve.modelserver.server.batcher import Executed, Outcome, Work
from follower.serve.modelserver.server.codec import InferAnswer, InferRequest, decode, encode
from follower.serve.modelserver.server.refusal import Refused
from follower.serve.modelserver.server.serving import Serving, ServingModel
from follower.serve.modelserver.server.signature import check_inputs, check_outputs
from follower.serve.openinference.tensors import TensorInfo

MAX_BODY_BYTES: Final = 1 << 30
"""Larger bodies are refused before they are read; the protocol's JSON and binary forms both fit well below."""

JSON_LENGTH_HEADER: Final = b"inference-header-content-length"

Header = tuple[bytes, bytes]


class InferEndpoint:
    """``POST /v2/models/{model}[/versions/{version}]/infer`` as an ASGI application."""

    def __init__(self, serving: Serving) -> None:
        self._serving = serving

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            headers, body = await self.answer(scope, receive)
            status = HTTPStatus.OK
        except Refused as refused:
            headers, body, status = _refusal(refused)
        except MemoryError:
            self._serving.on_out_of_memory("a request or its answer does not fit into memory")
            headers, body, status = _refusal(Refused("out of memory", HTTPStatus.SERVICE_UNAVAILABLE))
        headers.append((b"content-length", b"%d" % len(body)))
        await send({"type": "http.response.start", "status": int(status), "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def answer(self, scope: Scope, receive: Receive) -> tuple[list[Header], bytes]:
        """Headers and body of a success.

        Raises:
            Refused: there is none.
        """
        json_length = json_length_of(scope["headers"])
        body = await read_body(receive)
        received_ns = time.perf_counter_ns()
        model = self._serving.model(**scope["path_params"])
        request = decode(body, json_length)
        check_inputs(model.metadata, request.inputs, batched=model.batched)
        check_outputs(model.metadata, [wish.name for wish in request.outputs])
        executed = await execute(model, request)
        answer = encode(model.metadata.name, request.id, list(_chosen(model, request, executed)))
        return headers_of(answer, executed, time.perf_counter_ns() - received_ns), answer.body


def _refusal(refused: Refused) -> tuple[list[Header], bytes, HTTPStatus]:
    return [(b"content-type", b"application/json")], error_body(refused), refused.status


def error_body(refused: Refused) -> bytes:
    """The protocol's error object."""
    return json.dumps({"error": refused.message}).encode()


def json_length_of(headers: Iterable[Header]) -> int | None:
    """How long the JSON before the binary tensors is; None where nobody says.

    Raises:
        Refused: the body is too large, or encoded.
    """
    length = None
    for name, value in headers:
        if name == JSON_LENGTH_HEADER:
            length = _number(name, value)
        elif name == b"content-length" and _number(name, value) > MAX_BODY_BYTES:
            message = f"the body has {int(value)} bytes, but at most {MAX_BODY_BYTES} are taken"
            raise Refused(message, HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        elif name == b"content-encoding" and value != b"identity":
            message = f"content-encoding {value.decode('latin-1')} is not supported; send the body as it is"
            raise Refused(message, HTTPStatus.UNSUPPORTED_MEDIA_TYPE)
    return length


def _number(name: bytes, value: bytes) -> int:
    if not value.isdigit():
        raise Refused(f"header {name.decode('ascii')} must be a number, but it is {value.decode('latin-1')!r}")
    return int(value)


async def read_body(receive: Receive) -> bytes:
    """The whole body.

    Raises:
        Refused: it is too large, or the client went away.
    """
    message = await receive()
    if not message.get("more_body", False):
        return _body(message)
    chunks = [_body(message)]
    size = len(chunks[0])
    while message.get("more_body", False):
        message = await receive()
        chunks.append(_body(message))
        size += len(chunks[-1])
        if size > MAX_BODY_BYTES:
            raise Refused(f"the body has more than {MAX_BODY_BYTES} bytes", HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
    return b"".join(chunks)


def _body(message: Any) -> bytes:
    if message["type"] == "http.disconnect":
        raise Refused("the client went away")
    body: bytes = message.get("body", b"")
    return body


async def execute(model: ServingModel, request: InferRequest) -> Executed:
    """Through the batcher.

    Raises:
        Refused: the model failed.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Outcome] = loop.create_future()
    inputs = {name: tensor.array for name, tensor in request.inputs.items()}

    def finish(outcome: Outcome) -> None:
        loop.call_soon_threadsafe(_resolve, future, outcome)

    model.batcher.submit(Work(inputs, finish))
    outcome = await future
    if isinstance(outcome, Refused):
        raise outcome
    return outcome


def _resolve(future: asyncio.Future[Outcome], outcome: Outcome) -> None:
    if not future.done():  # the request may have been cancelled with its connection
        future.set_result(outcome)


def _chosen(
    model: ServingModel, request: InferRequest, executed: Executed
) -> Iterable[tuple[TensorInfo, npt.NDArray[Any], bool]]:
    """What goes into the answer: the outputs asked for in that order, or all of them."""
    pairs = {info.name: (info, array) for info, array in zip(model.metadata.outputs, executed.outputs, strict=True)}
    if not request.outputs:
        return [(*pair, request.binary_outputs) for pair in pairs.values()]
    return [(*pairs[wish.name], wish.binary) for wish in request.outputs]


def headers_of(answer: InferAnswer, executed: Executed, total_ns: int, *, queue_ns: int | None = None) -> list[Header]:
    """What the server tells of a request; ``queue_ns`` where it waited for more than the batch."""
    headers = [
        (b"inferbench-queue-ns", b"%d" % (executed.queue_ns if queue_ns is None else queue_ns)),
        (b"inferbench-inference-ns", b"%d" % executed.inference_ns),
        (b"inferbench-total-ns", b"%d" % total_ns),
        (b"inferbench-batch-size", b"%d" % executed.batch_size),
    ]
    if answer.json_length is None:
        return [*headers, (b"content-type", b"application/json")]
    length = b"%d" % answer.json_length
    return [*headers, (b"content-type", b"application/octet-stream"), (JSON_LENGTH_HEADER, length)]
