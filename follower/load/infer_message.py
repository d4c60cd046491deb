"""Infer requests and responses as gRPC messages, as the client sees them. Pure.

Source: KServe's ``grpc_predict_v2.proto`` (Open Inference Protocol v2): ModelInferRequest with raw_input_contents, and
ModelInferResponse with raw_output_contents or, where an output has none, with typed contents.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from follower.load.encode import UNNUMBERED, Array, InputTensor, MalformedAnswer, array_from_bytes, tensor_bytes
from follower.load.protobuf import bytes_of, fields, length_field, length_head, numbers_of, signed, varint
from follower.serve.openinference.tensors import BYTES, DTYPES

PREFIX_BYTES: Final = 5  # gRPC: a flag (compressed or not) and the message's length
MAX_MESSAGE_BYTES: Final = (1 << 32) - 1

_REQUEST_MODEL: Final = 1
_REQUEST_ID: Final = 3
_REQUEST_INPUTS: Final = 5
_REQUEST_RAW: Final = 7
_TENSOR_NAME: Final = 1
_TENSOR_DATATYPE: Final = 2
_TENSOR_SHAPE: Final = 3
_RESPONSE_OUTPUTS: Final = 5
_RESPONSE_RAW: Final = 6
_OUTPUT_CONTENTS: Final = 5

_CONTENTS_OF: Final = {
    "BOOL": 1,
    "INT8": 2, "INT16": 2, "INT32": 2,
    "INT64": 3,
    "UINT8": 4, "UINT16": 4, "UINT32": 4,
    "UINT64": 5,
    "FP32": 6,
    "FP64": 7,
    BYTES: 8,
}  # fmt: skip
"""InferTensorContents: the field that holds a datatype's elements. FP16 has none and is always sent raw."""


ID_AT: Final = PREFIX_BYTES + len(length_head(_REQUEST_ID, len(UNNUMBERED)))
"""Where the id of a numbered request begins."""


def encode_infer_message(model_name: str, inputs: Sequence[InputTensor], *, numbered: bool = False) -> bytes:
    """A ModelInferRequest that sends ``inputs`` raw and asks for all outputs, with its gRPC prefix.

    A numbered one begins with its id: fields may stand in any order.

    Raises:
        ValueError: an array cannot be cast to its datatype, or the message would be longer than 4 GiB.
    """
    parts = [length_field(_REQUEST_ID, UNNUMBERED.encode())] if numbered else []
    parts.append(length_field(_REQUEST_MODEL, model_name.encode()))
    parts += [length_field(_REQUEST_INPUTS, _described(tensor)) for tensor in inputs]
    for tensor in inputs:
        data = tensor_bytes(tensor)
        parts += [length_head(_REQUEST_RAW, len(data)), data]
    size = sum(map(len, parts))
    if size > MAX_MESSAGE_BYTES:
        raise ValueError(f"a request of {size} bytes; a gRPC message holds at most {MAX_MESSAGE_BYTES}")
    return b"".join([b"\0", size.to_bytes(4), *parts])


def _described(tensor: InputTensor) -> bytes:
    return b"".join(
        [
            length_field(_TENSOR_NAME, tensor.name.encode()),
            length_field(_TENSOR_DATATYPE, tensor.datatype.encode()),
            length_field(_TENSOR_SHAPE, b"".join(map(varint, tensor.array.shape))),
        ]
    )


@dataclass
class _Output:
    """One InferOutputTensor, as far as it was read."""

    name: str = ""
    datatype: str = ""
    shape: list[int] = field(default_factory=list)
    contents: memoryview | None = None


def decode_infer_message(message: bytes) -> dict[str, Array]:
    """The outputs of a ModelInferResponse (without its gRPC prefix), by name.

    Raises:
        MalformedAnswer: the message is not what the protocol promises.
    """
    try:
        outputs: list[_Output] = []
        raw: list[memoryview] = []
        for number, _, value in fields(memoryview(message)):
            if number == _RESPONSE_OUTPUTS:
                outputs.append(_read_output(bytes_of(value)))
            elif number == _RESPONSE_RAW:
                raw.append(bytes_of(value))
        if raw and len(raw) != len(outputs):
            raise MalformedAnswer(f"{len(outputs)} outputs, but raw contents of {len(raw)}")
        return {output.name: _array(output, raw[position] if raw else None) for position, output in enumerate(outputs)}
    except (KeyError, TypeError, ValueError, OverflowError, MemoryError) as error:
        raise MalformedAnswer(f"the message is not an infer response: {error!r}") from error


def _read_output(data: memoryview) -> _Output:
    output = _Output()
    for number, kind, value in fields(data):
        if number == _TENSOR_NAME:
            output.name = str(bytes_of(value), "utf-8")
        elif number == _TENSOR_DATATYPE:
            output.datatype = str(bytes_of(value), "utf-8")
        elif number == _TENSOR_SHAPE:
            output.shape += map(signed, numbers_of(kind, value))
        elif number == _OUTPUT_CONTENTS:
            output.contents = bytes_of(value)
    return output


def _array(output: _Output, raw: memoryview | None) -> Array:
    if any(size < 0 for size in output.shape):
        raise MalformedAnswer(f"output {output.name!r} has the shape {output.shape}")
    if raw is not None:
        return array_from_bytes(output.name, output.datatype, output.shape, raw)
    return _elements(output).reshape(output.shape)


def _elements(output: _Output) -> Array:
    """The elements of typed contents, as one row."""
    wanted, dtype = _CONTENTS_OF[output.datatype], DTYPES[output.datatype]
    values = [(kind, value) for number, kind, value in fields(output.contents or memoryview(b"")) if number == wanted]
    if output.datatype == BYTES:
        strings = np.empty(len(values), dtype=object)
        strings[:] = [bytes(bytes_of(value)) for _, value in values]
        return strings
    if dtype.kind == "f":  # packed or one by one: the same bytes in a row
        return np.frombuffer(b"".join(bytes_of(value) for _, value in values), dtype=dtype)
    numbers: list[Any] = [number for kind, value in values for number in numbers_of(kind, value)]
    return np.array([signed(number) for number in numbers] if dtype.kind == "i" else numbers, dtype=dtype)
