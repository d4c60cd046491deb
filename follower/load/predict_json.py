"""TensorFlow Serving's REST predict call in its column format, as the client sees it. Pure.

Source: TensorFlow Serving's "RESTful API", "Predict API" and "Encoding binary values". The tensors are JSON, whatever
that costs: the interface has no other form.
"""

import base64
import json
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from follower.load.encode import Array, InputTensor, MalformedAnswer, authority, secret_line
from follower.load.protocol import Target
from follower.load.tensor_proto import as_bytes
from follower.serve.openinference.tensors import BYTES, DTYPES
from follower.serve.tensorflow.datatypes import SIGNATURE

UNNAMED: Final = ""
"""The output of a signature that has no other: the interface then leaves its name out."""

_B64: Final = "b64"


def encode_predict(target: Target, inputs: Sequence[InputTensor], signature: str = SIGNATURE) -> bytes:
    """All bytes of one HTTP/1.1 request that asks for all outputs of the signature.

    Raises:
        ValueError: an array cannot be cast to its datatype.
    """
    document = {"signature_name": signature, "inputs": {tensor.name: _column(tensor) for tensor in inputs}}
    body = json.dumps(document, separators=(",", ":")).encode()
    head = (
        f"POST {target.path} HTTP/1.1\r\n"
        f"Host: {authority(target)}\r\n"
        f"{secret_line(target)}"
        f"Content-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode("ascii") + body


def _column(tensor: InputTensor) -> Any:
    if tensor.datatype == BYTES:
        encoded = np.empty(tensor.array.shape, dtype=object)
        encoded.ravel()[:] = [{_B64: base64.b64encode(as_bytes(each)).decode()} for each in tensor.array.ravel()]
        return encoded.tolist()
    if tensor.datatype not in DTYPES:
        raise ValueError(f"input {tensor.name!r}: unknown datatype {tensor.datatype!r}")
    return np.asarray(tensor.array, dtype=DTYPES[tensor.datatype]).tolist()


def decode_predict(body: bytes) -> dict[str, Array]:
    """The outputs of a predict response, by name; the only one of a signature under ``UNNAMED``.

    JSON does not say of which type a number was: integers come as INT64, others as FP64.

    Raises:
        MalformedAnswer: the body is not what the interface promises.
    """
    try:
        outputs = json.loads(body)["outputs"]
        if isinstance(outputs, dict) and outputs.keys() != {_B64}:
            return {name: _array(value) for name, value in outputs.items()}
        return {UNNAMED: _array(outputs)}
    except (KeyError, TypeError, ValueError, OverflowError, RecursionError) as error:
        raise MalformedAnswer(f"the body is not a predict response: {error!r}") from error


def _array(value: Any) -> Array:
    array = np.array(value)
    if array.dtype.kind in "iufb":
        return array
    strings = np.array(value, dtype=object)
    flat = [_string(each) for each in strings.ravel()]
    found = np.empty(strings.shape, dtype=object)
    found.ravel()[:] = flat
    return found


def _string(value: Any) -> bytes:
    """Binary strings come as an object, others as they are."""
    if isinstance(value, dict) and value.keys() == {_B64}:
        return base64.b64decode(value[_B64], validate=True)
    if isinstance(value, str):
        return value.encode()
    raise MalformedAnswer(f"neither a number nor a string: {value!r:.80}")
