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

from follower.load.protocol import Target
from follower.serve.openinference.tensors import BYTES, BYTES_LENGTH_PREFIX, DTYPES

HEADER_LENGTH: Final = b"inference-header-content-length"
"""The header, in lower case, that says how long the JSON before the binary tensors is."""

UNNUMBERED: Final = "-" * 12
"""Stands where a request's number will be; as an id it says that nobody numbered the request."""

Array = npt.NDArray[Any]


class MalformedAnswer(ValueError):
    """An answer came whole, but its body is not the infer response that was asked for."""


@dataclass(frozen=True, kw_only=True)
class InputTensor:
    """One input of a request. ``array`` has the shape that is sent, batch first."""

    name: str
    datatype: str  # "FP32"
    array: Array


def encode_infer(target: Target, inputs: Sequence[InputTensor]) -> bytes:
    """All bytes of one HTTP/1.1 request that sends ``inputs`` as binary and asks for all outputs as binary.

    Of a numbered target, the JSON begins with the id.

    Raises:
        ValueError: an array cannot be cast to its datatype.
    """
    chunks = [tensor_bytes(tensor) for tensor in inputs]
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
    if target.numbered:
        document = {"id": UNNUMBERED, **document}
    head = json.dumps(document, separators=(",", ":")).encode()
    return b"".join([_http_head(target, len(head), len(head) + sum(map(len, chunks))), head, *chunks])


def _http_head(target: Target, json_bytes: int, body_bytes: int) -> bytes:
    return (
        f"POST {target.path} HTTP/1.1\r\n"
        f"Host: {authority(target)}\r\n"
        f"{secret_line(target)}"
        f"Content-Type: application/octet-stream\r\n"
        f"Inference-Header-Content-Length: {json_bytes}\r\n"
        f"Content-Length: {body_bytes}\r\n\r\n"
    ).encode("ascii")


def secret_line(target: Target) -> str:
    """The header that carries the target's secret, with its line end; empty where it has none."""
    return "" if target.secret is None else target.secret.line


def authority(target: Target) -> str:
    """Host and port as a URI writes them; an IPv6 address stands in brackets (RFC 3986, section 3.2.2)."""
    if target.authority:
        return target.authority
    host = f"[{target.host}]" if ":" in target.host else target.host
    return f"{host}:{target.port}"


def tensor_bytes(tensor: InputTensor) -> bytes:
    """The tensor's elements as the protocol sends them raw: little-endian, row-major, strings with their lengths.

    Raises:
        ValueError: the datatype is unknown, or the array cannot be cast to it.
    """
    if tensor.datatype == BYTES:
        return b"".join(_prefixed(value) for value in tensor.array.ravel())
    if tensor.datatype not in DTYPES:
        raise ValueError(f"input {tensor.name!r}: unknown datatype {tensor.datatype!r}")
    return np.ascontiguousarray(tensor.array, dtype=DTYPES[tensor.datatype]).tobytes()


def _prefixed(value: object) -> bytes:
    data = value if isinstance(value, bytes) else str(value).encode()
    return len(data).to_bytes(BYTES_LENGTH_PREFIX, "little") + data


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
        outputs[entry["name"]] = array_from_bytes(
            entry["name"], entry["datatype"], entry["shape"], binary[offset : offset + size]
        )
        offset += size
    if offset != len(binary):
        raise MalformedAnswer(f"{len(binary) - offset} bytes follow the last output")
    return outputs


def _from_json(entry: dict[str, Any]) -> Array:
    dtype = DTYPES[entry["datatype"]]
    return np.array(entry["data"], dtype=dtype).reshape(entry["shape"])


def array_from_bytes(name: str, datatype: str, shape: Sequence[int], data: memoryview) -> Array:
    """What ``tensor_bytes`` made, as an array of ``shape``.

    Raises:
        MalformedAnswer: ``data`` does not fill the shape.
        KeyError, ValueError: an unknown datatype, or strings that do not.
    """
    if datatype == BYTES:
        return np.array(_strings(data), dtype=object).reshape(shape)
    dtype = DTYPES[datatype]
    if len(data) != dtype.itemsize * math.prod(shape):
        raise MalformedAnswer(f"output {name!r} of shape {list(shape)} comes with {len(data)} bytes")
    return np.frombuffer(data, dtype=dtype).reshape(shape)


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
