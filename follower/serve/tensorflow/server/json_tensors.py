"""REST predict bodies: JSON to tensors and back. Pure.

Source: TensorFlow Serving's "RESTful API": column format, and row format for requests without it.
"""

import base64
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from follower.serve.openinference.tensors import BYTES, DTYPES, ModelMetadata
from follower.serve.tensorflow.datatypes import SIGNATURE
from follower.serve.tensorflow.server.refusal import Refused

Array = npt.NDArray[Any]


def read(body: bytes, model: ModelMetadata) -> dict[str, Array]:
    """The inputs of a predict request in column format.

    Raises:
        Refused: it is none, or not for this signature.
    """
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Refused("INVALID_ARGUMENT", f"the request is not JSON: {error}") from error
    if not isinstance(document, dict) or "inputs" not in document:
        raise Refused("INVALID_ARGUMENT", "the request must be a JSON object with 'inputs' (the column format)")
    require_signature(document.get("signature_name", SIGNATURE))
    inputs = document["inputs"]
    datatypes = {tensor.name: tensor.datatype for tensor in model.inputs}
    if not isinstance(inputs, dict) or (inputs.keys() == {"b64"} and "b64" not in datatypes):
        if len(datatypes) != 1:
            raise Refused("INVALID_ARGUMENT", f"'inputs' must name each of {sorted(datatypes)}")
        inputs = dict.fromkeys(datatypes, inputs)
    return {name: _array(name, value, datatypes.get(name, "FP32")) for name, value in inputs.items()}


def require_signature(name: object) -> None:
    """Raises Refused for any but the one that is served."""
    if name not in ("", SIGNATURE):
        raise Refused("INVALID_ARGUMENT", f"serving signature key {name!r} not found; there is {SIGNATURE!r}")


def _array(name: str, value: Any, datatype: str) -> Array:
    try:
        if datatype == BYTES:
            strings = np.array(value, dtype=object)
            flat = [_string(each) for each in strings.ravel()]
            found = np.empty(strings.shape, dtype=object)
            found.ravel()[:] = flat
            return found
        return np.array(value, dtype=DTYPES[datatype])
    except (ValueError, TypeError, OverflowError, KeyError) as error:
        raise Refused("INVALID_ARGUMENT", f"input {name!r} is no {datatype} tensor: {error}") from error


def _string(value: Any) -> bytes:
    return base64.b64decode(value["b64"], validate=True) if isinstance(value, dict) else str(value).encode()


def write(outputs: Mapping[str, Array]) -> bytes:
    """The answer in column format; the only output stands without its name."""
    values = {name: _plain(name, array) for name, array in outputs.items()}
    document = next(iter(values.values())) if len(values) == 1 else values
    return json.dumps({"outputs": document}, separators=(",", ":")).encode()


def _plain(name: str, array: Array) -> Any:
    if array.dtype != object:
        return array.tolist()
    as_binary = name.endswith("_bytes")
    flat = [{"b64": base64.b64encode(each).decode()} if as_binary else each.decode() for each in array.ravel()]
    found = np.empty(array.shape, dtype=object)
    found.ravel()[:] = flat
    return found.tolist()
