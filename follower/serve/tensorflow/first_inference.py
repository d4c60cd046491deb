"""One real inference of zeros, in what the load will speak: the end of a cold start."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Final

import numpy as np

from follower.load.ask import NoAnswer, ask
from follower.load.dialects import DIALECTS, target_of
from follower.load.encode import InputTensor, MalformedAnswer
from follower.serve.openinference.client import RefusedByServer, Unreachable
from follower.serve.openinference.tensors import BYTES, DTYPES, TensorInfo, example_shape
from follower.serve.protocol import Endpoint

_NS_PER_S: Final = 1_000_000_000
_UNAVAILABLE: Final = "grpc-status 14"


def infer_zeros(
    endpoint: Endpoint, inputs: Sequence[TensorInfo], timeout_s: float, hints: Mapping[str, Sequence[int]]
) -> None:
    """Has zeros inferred, of the shapes in ``hints`` or else of ``example_shape``.

    Raises:
        Unreachable: no answer, or none that can be read.
        RefusedByServer: the model did not take it; status 503 where the server is not ready yet.
    """
    dialect, target = DIALECTS[endpoint.dialect], target_of(endpoint)
    request = dialect.encode(target, [_zeros(tensor, hints.get(tensor.name)) for tensor in inputs])
    try:
        dialect.decode(ask(target, request, round(timeout_s * _NS_PER_S)))
    except MalformedAnswer as error:
        raise Unreachable(f"the first inference: {error}") from error
    except NoAnswer as error:
        if not error.status:
            raise Unreachable(f"the first inference: {error}") from error
        is_early = str(error).startswith(_UNAVAILABLE)
        raise RefusedByServer(HTTPStatus.SERVICE_UNAVAILABLE if is_early else error.status, str(error)) from error


def _zeros(tensor: TensorInfo, hint: Sequence[int] | None) -> InputTensor:
    shape = example_shape(tensor, hint)
    array = np.full(shape, b"", dtype=object) if tensor.datatype == BYTES else np.zeros(shape, DTYPES[tensor.datatype])
    return InputTensor(name=tensor.name, datatype=tensor.datatype, array=array)
