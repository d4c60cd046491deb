"""Open Inference Protocol v2 infer requests with binary tensors, as the client sees them. Pure.

Source: Open Inference Protocol v2 REST, "Inference", and its binary tensor data extension. A binary request is a
JSON document followed at once by the tensors' bytes; Inference-Header-Content-Length says where the first ends.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from follower.load.protocol import EncodedRequest, HttpTarget
from follower.serve.openinference.tensors import BYTES, BYTES_LENGTH_PREFIX, DTYPES

HEADER_LENGTH: Final = b"inference-header-content-length"
"""The header, in lower case, that says how long the JSON before the binary tensors is."""

Array = npt.NDArray[Any]


class MalformedAnswer(ValueError):
    """An HTTP answer came whole, but its body is not the infer response that was asked for."""


@dataclass(frozen=True, kw_only=True)
class InputTensor:
    """One input of a request. ``array`` has the shape that is sent, batch first."""

    name: str
    datatype: str  # "FP32"
    array: Array


def encode_infer(inputs: Sequence[InputTensor]) -> EncodedRequest:
    """Header lines and body of a request that sends ``inputs`` as binary and asks for all outputs as binary.

    Raises:
        ValueError: an array cannot be cast to its datatype.
    """
    chunks = [_wire_form(tensor) for tensor in inputs]
    entries = [
        {
            "name": tensor.name,
            "shape": list(tensor.array.shape),
            "datatype": tensor.datatype,
            "parameters": {"binary_data_size": len(chunk)},
        }
        for tensor, chunk in zip(inputs, chunks, strict=True)
    ]
    document = {"inputs": entries, "parameters": {"binary_data_output": True}}
    head = json.dumps(document, separators=(",", ":")).encode()
    body = b"".join([head, *chunks])
    headers = (
        f"Content-Type: application/octet-stream\r\n"
        f"Inference-Header-Content-Length: {len(head)}\r\n"
        f"Content-Length: {len(body)}\r\n"
    )
    return EncodedRequest(headers=headers.encode(), body=body)


def _wire_form(tensor: InputTensor) -> bytes:
    if tensor.datatype == BYTES:
        return b"".join(_prefixed(value) for value in tensor.array.ravel())
    if tensor.datatype not in DTYPES:
        raise ValueError(f"input {tensor.name!r}: unknown datatype {tensor.datatype!r}")
    return np.ascontiguousarray(tensor.array, dtype=DTYPES[tensor.datatype]).tobytes()


def _prefixed(value: object) -> bytes:
    data = value if isinstance(value, bytes) else str(value).encode()
    return len(data).to_bytes(BYTES_LENGTH_PREFIX, "little") + data


def to_wire(target: HttpTarget, request: EncodedRequest) -> bytes:
    """All bytes of one HTTP/1.1 request."""
    host = f"[{target.host}]" if ":" in target.host else target.host
    line = f"POST {target.path} HTTP/1.1\r\nHost: {host}:{target.port}\r\n"
    return b"".join([line.encode("ascii"), request.headers, b"\r\n", request.body])


def decode_infer(body: bytes, head_length: int | None) -> dict[str, Array]:
    """The outputs of an infer response, by name. ``head_length`` is the header's value, None where it was absent.

    Raises:
        MalformedAnswer: the body is not what the protocol promises.
    """
    end = len(body) if head_length is None else head_length
    if not 0 < end <= len(body):
        raise MalformedAnswer(f"Inference-Header-Content-Length is {end}, but the body has {len(body)} bytes")
    try:
        entries = json.loads(body[:end])["outputs"]
        return _outputs(entries, memoryview(body)[end:])
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError, RecursionError) as error:
        raise MalformedAnswer(f"the body is not an infer response: {error!r}") from error


def _outputs(entries: Sequence[dict[str, Any]], binary: memoryview) -> dict[str, Array]:
    outputs: dict[str, Array] = {}
    offset = 0
    for entry in entries:
        size = entry.get("parameters", {}).get("binary_data_size")
        if size is None:
            outputs[entry["name"]] = _from_json(entry)
            continue
        if size < 0 or offset + size > len(binary):
            raise MalformedAnswer(f"output {entry['name']!r} announces {size} bytes, {len(binary) - offset} are left")
        outputs[entry["name"]] = _from_binary(entry, binary[offset : offset + size])
        offset += size
    if offset != len(binary):
        raise MalformedAnswer(f"{len(binary) - offset} bytes follow the last output")
    return outputs


def _from_json(entry: dict[str, Any]) -> Array:
    dtype = DTYPES[entry["datatype"]]
    return np.array(entry["data"], dtype=dtype).reshape(entry["shape"])


def _from_binary(entry: dict[str, Any], data: memoryview) -> Array:
    if entry["datatype"] == BYTES:
        return np.array(_strings(data), dtype=object).reshape(entry["shape"])
    dtype = DTYPES[entry["datatype"]]
    if len(data) != dtype.itemsize * math.prod(entry["shape"]):
        raise MalformedAnswer(f"output {entry['name']!r} of shape {entry['shape']} comes with {len(data)} bytes")
    return np.frombuffer(data, dtype=dtype).reshape(entry["shape"])


def _strings(data: memoryview) -> list[bytes]:
    values = []
    offset = 0
    while offset < len(data):
        start = offset + BYTES_LENGTH_PREFIX
        end = start + int.from_bytes(data[offset:start], "little")
        if end > len(data):
            raise MalformedAnswer(f"the string at byte {offset} is cut off")
        values.append(bytes(data[start:end]))
        offset = end
    return values
