"""ModelInfer messages as a golden gRPC server reads and writes them, by hand: no generated code. Pure.

Source: Open Inference Protocol v2 gRPC (package ``inference``) and the Protocol Buffers encoding.
"""

import struct
from typing import Final

from shared.testing.http_messages import SCORES

SERVICE: Final = "inference.GRPCInferenceService"
METHOD: Final = "ModelInfer"

_VARINT: Final = 0
_BYTES: Final = 2
_REQUEST_INPUTS: Final = 5  # ModelInferRequest.inputs
_TENSOR_SHAPE: Final = 3  # InferInputTensor.shape, InferOutputTensor.shape


def samples_of(message: bytes) -> int:
    """The batch size of a ModelInferRequest: the first number of the first input's shape; 1 where there is none."""
    tensor = _field(message, _REQUEST_INPUTS)
    shape = _field(tensor, _TENSOR_SHAPE)
    return _read_varint(shape, 0)[0] if shape else 1


def infer_message(samples: int, filler_bytes: int) -> bytes:
    """A ModelInferResponse: ``scores`` as FP32 of shape (samples, 3), then ``filler`` as UINT8."""
    scores = struct.pack(f"<{3 * samples}f", *SCORES * samples)
    outputs: list[tuple[str, str, tuple[int, ...], bytes]] = [("scores", "FP32", (samples, 3), scores)]
    if filler_bytes:
        outputs.append(("filler", "UINT8", (filler_bytes,), bytes(filler_bytes)))
    tensors = [_chunk(5, _tensor(name, datatype, shape)) for name, datatype, shape, _ in outputs]
    contents = [_chunk(6, raw) for _, _, _, raw in outputs]
    return b"".join([_chunk(1, b"golden"), _chunk(2, b"1"), *tensors, *contents])


def infer_request(name: str, datatype: str, shape: tuple[int, ...], raw: bytes, *, model: str = "golden") -> bytes:
    """A ModelInferRequest with one input, for clients that test the server."""
    return _chunk(1, model.encode()) + _chunk(5, _tensor(name, datatype, shape)) + _chunk(7, raw)


def _tensor(name: str, datatype: str, shape: tuple[int, ...]) -> bytes:
    packed = b"".join(_varint(size) for size in shape)
    return _chunk(1, name.encode()) + _chunk(2, datatype.encode()) + _chunk(3, packed)


def _chunk(number: int, data: bytes) -> bytes:
    """A length-delimited field."""
    return _varint(number << 3 | _BYTES) + _varint(len(data)) + data


def _varint(value: int) -> bytes:
    data = bytearray()
    while value > 0x7F:  # noqa: PLR2004 - seven bits a byte
        data.append(value & 0x7F | 0x80)
        value >>= 7
    data.append(value)
    return bytes(data)


def _read_varint(data: bytes, offset: int) -> tuple[int, int]:
    """The value at ``offset``, and where the next thing begins."""
    value = shift = 0
    while True:
        byte = data[offset]
        offset += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:  # noqa: PLR2004 - the last byte of a number has its high bit clear
            return value, offset


def _field(message: bytes, wanted: int) -> bytes:
    """The first length-delimited field of this number; empty where there is none."""
    offset = 0
    while offset < len(message):
        key, offset = _read_varint(message, offset)
        value, offset = _read_varint(message, offset)
        if key & 7 == _VARINT:
            continue
        if key & 7 != _BYTES:
            raise ValueError(f"field {key >> 3} of wire type {key & 7} has no place in this message")
        if key >> 3 == wanted:
            return message[offset : offset + value]
        offset += value
    return b""
