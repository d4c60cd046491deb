"""One real inference of zeros, in what the load will speak: the end of a cold start."""

import socket
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Final

import numpy as np

from follower.load.codec import Codec, MalformedResponse
from follower.load.dialects import DIALECTS, target_of
from follower.load.encode import InputTensor, MalformedAnswer
from follower.serve.openinference.client import RefusedByServer, Unreachable
from follower.serve.openinference.tensors import BYTES, DTYPES, TensorInfo, example_shape
from follower.serve.protocol import Endpoint

_READ_BYTES: Final = 256 * 1024
_UNAVAILABLE: Final = "grpc-status 14"


def infer_zeros(
    endpoint: Endpoint, inputs: Sequence[TensorInfo], timeout_s: float, hints: Mapping[str, Sequence[int]]
) -> None:
    """Has zeros inferred, of the shapes in ``hints`` or else of ``example_shape``.

    Raises:
        Unreachable: no answer; each wait for the server's next bytes is at most ``timeout_s``.
        RefusedByServer: the model did not take it; status 503 where the server is not ready yet.
    """
    dialect, target = DIALECTS[endpoint.dialect], target_of(endpoint)
    request = dialect.encode(target, [_zeros(tensor, hints.get(tensor.name)) for tensor in inputs])
    codec = dialect.codec(target, keep_body=True)
    try:
        with socket.create_connection((endpoint.host, endpoint.port), timeout=timeout_s) as connection:
            _exchange(connection, codec, request)
        if codec.status == HTTPStatus.OK:
            dialect.decode(codec)
    except (OSError, MalformedResponse, MalformedAnswer) as error:
        raise Unreachable(f"the first inference: {error or type(error).__name__}") from error
    if codec.status != HTTPStatus.OK:
        is_early = codec.is_unprocessed or codec.explanation.startswith(_UNAVAILABLE)
        raise RefusedByServer(HTTPStatus.SERVICE_UNAVAILABLE if is_early else codec.status, codec.explanation)


def _exchange(connection: socket.socket, codec: Codec, request: bytes) -> None:
    connection.sendall(codec.greeting())
    connection.sendall(codec.start(request))
    while True:
        data = connection.recv(_READ_BYTES)
        if not data:
            if codec.feed_eof():
                return
            raise ConnectionResetError("the server closed the connection")
        if codec.feed(memoryview(data)):
            return
        connection.sendall(codec.outgoing())


def _zeros(tensor: TensorInfo, hint: Sequence[int] | None) -> InputTensor:
    shape = example_shape(tensor, hint)
    array = np.full(shape, b"", dtype=object) if tensor.datatype == BYTES else np.zeros(shape, DTYPES[tensor.datatype])
    return InputTensor(name=tensor.name, datatype=tensor.datatype, array=array)
