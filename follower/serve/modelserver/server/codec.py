"""Open Inference Protocol v2 infer bodies: bytes to tensors and back, with the binary tensor data extension. Pure."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from follower.serve.modelserver.server.elements import bytes_from_array, from_bytes, from_json
from follower.serve.modelserver.server.refusal import Refused
from follower.serve.openinference.tensors import BYTES, DTYPES, TensorInfo


@dataclass(frozen=True, slots=True)
class Tensor:
    """A decoded input."""

    datatype: str
    array: npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class OutputWish:
    """An output that the request asks for by name."""

    name: str
    binary: bool


@dataclass(frozen=True, slots=True)
class InferRequest:
    """A decoded request. No ``outputs`` means all of them, as ``binary_outputs`` says."""

    id: str | None
    inputs: Mapping[str, Tensor]
    outputs: tuple[OutputWish, ...]
    binary_outputs: bool


@dataclass(frozen=True, slots=True)
class InferAnswer:
    """An encoded answer; ``json_length`` is set if binary tensors follow the JSON."""

    body: bytes
    json_length: int | None


def decode(body: bytes, json_length: int | None, *, text: bool = True) -> InferRequest:
    """Reads a request. ``json_length`` is the header Inference-Header-Content-Length, None where it was not sent.

    ``text``: binary BYTES are UTF-8 and become str; otherwise they stay bytes.

    Raises:
        Refused: it is not a request, with status 400.
    """
    end = len(body) if json_length is None else json_length
    if not 0 < end <= len(body):
        raise Refused(f"Inference-Header-Content-Length is {end}, but the body has {len(body)} bytes")
    document = _json_object(body[:end])
    inputs = _inputs(document, memoryview(body)[end:], text=text)
    binary = _flag(_parameters(document, "the request"), "binary_data_output", default=False)
    identifier = document.get("id")
    if identifier is not None and not isinstance(identifier, str):
        raise Refused(f"id must be a string, but it is {identifier!r}")
    return InferRequest(identifier, inputs, _wishes(document, binary=binary), binary)


def _json_object(text: bytes) -> dict[str, Any]:
    try:
        document = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise Refused(f"the request is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise Refused(f"the request must be a JSON object, but it is {type(document).__name__}")
    return document


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON; send such values as binary data")


def _inputs(document: Mapping[str, Any], binary: memoryview, *, text: bool) -> dict[str, Tensor]:
    tensors: dict[str, Tensor] = {}
    offset = 0
    for entry in _objects(document, "inputs"):
        name = _name(entry, "inputs")
        if name in tensors:
            raise Refused(f"input {name!r} is sent twice")
        place = f"input {name!r}"
        size = _parameters(entry, place).get("binary_data_size")
        if size is not None:
            size = _size(size, place)
            if offset + size > len(binary):
                raise Refused(f"{place} announces {size} bytes, but only {len(binary) - offset} are left of the body")
        data = None if size is None else binary[offset : offset + size]
        tensors[name] = _tensor(entry, place, data, text=text)
        offset += size or 0
    if not tensors:
        raise Refused("inputs is missing or empty")
    if offset != len(binary):
        raise Refused(f"the body has {len(binary) - offset} bytes more than the inputs announce")
    return tensors


def _tensor(entry: Mapping[str, Any], place: str, binary: memoryview | None, *, text: bool) -> Tensor:
    datatype = entry.get("datatype")
    if not isinstance(datatype, str) or datatype not in DTYPES:
        raise Refused(f"{place}: datatype must be one of {', '.join(DTYPES)}, but it is {datatype!r}")
    shape = _shape(entry, place)
    if binary is None:
        if "data" not in entry:
            raise Refused(f"{place} has neither data nor parameters.binary_data_size")
        return Tensor(datatype, from_json(entry["data"], datatype, shape, place))
    if "data" in entry:
        raise Refused(f"{place} has both data and parameters.binary_data_size")
    return Tensor(datatype, from_bytes(binary, datatype, shape, place, text=text))


def _shape(entry: Mapping[str, Any], place: str) -> tuple[int, ...]:
    shape = entry.get("shape")
    if not isinstance(shape, list) or not all(type(size) is int and size >= 0 for size in shape):
        raise Refused(f"{place}: shape must be a list of integers from 0 up, but it is {shape!r}")
    return tuple(shape)


def _wishes(document: Mapping[str, Any], *, binary: bool) -> tuple[OutputWish, ...]:
    wishes = []
    for entry in _objects(document, "outputs"):
        name = _name(entry, "outputs")
        parameters = _parameters(entry, f"output {name!r}")
        if "classification" in parameters:
            raise Refused(f"output {name!r}: the classification extension is not supported")
        wishes.append(OutputWish(name, _flag(parameters, "binary_data", default=binary)))
    return tuple(wishes)


def _objects(document: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    entries = document.get(key, [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise Refused(f"{key} must be a list of objects")
    return entries


def _name(entry: Mapping[str, Any], key: str) -> str:
    name = entry.get("name")
    if not isinstance(name, str):
        raise Refused(f"every entry of {key} needs a name, but one has {name!r}")
    return name


def _parameters(entry: Mapping[str, Any], place: str) -> Mapping[str, Any]:
    parameters = entry.get("parameters", {})
    if not isinstance(parameters, dict):
        raise Refused(f"{place}: parameters must be an object")
    if "shared_memory_region" in parameters:
        raise Refused(f"{place}: the shared memory extension is not supported")
    return parameters


def _flag(parameters: Mapping[str, Any], key: str, *, default: bool) -> bool:
    value = parameters.get(key, default)
    if not isinstance(value, bool):
        raise Refused(f"{key} must be true or false, but it is {value!r}")
    return value


def _size(value: object, place: str) -> int:
    if type(value) is not int or value < 0:
        raise Refused(f"{place}: binary_data_size must be an integer from 0 up, but it is {value!r}")
    return value


def encode(
    model: str, identifier: str | None, outputs: Sequence[tuple[TensorInfo, npt.NDArray[Any], bool]]
) -> InferAnswer:
    """Writes an answer: each output with what the model says of it, its value, and whether to send it as binary.

    Raises:
        Refused: an output holds a value that JSON cannot express, with status 400.
    """
    chunks: list[memoryview] = []
    entries = [_entry(info, array, binary=binary, chunks=chunks) for info, array, binary in outputs]
    document: dict[str, Any] = {"model_name": model, "model_version": "1", "outputs": entries}
    if identifier is not None:
        document["id"] = identifier
    try:
        header = json.dumps(document, allow_nan=False, separators=(",", ":")).encode()
    except ValueError as error:
        raise Refused("an output holds NaN or infinity, which JSON cannot express; ask for binary_data") from error
    any_binary = any(binary for _, _, binary in outputs)
    return InferAnswer(b"".join((header, *chunks)), len(header) if any_binary else None)


def _entry(info: TensorInfo, array: npt.NDArray[Any], *, binary: bool, chunks: list[memoryview]) -> dict[str, Any]:
    entry: dict[str, Any] = {"name": info.name, "datatype": info.datatype, "shape": array.shape}
    if not binary:
        entry["data"] = array.ravel().tolist()
        return entry
    data = memoryview(bytes_from_array(array)) if info.datatype == BYTES else np.ascontiguousarray(array).data
    chunks.append(data)
    entry["parameters"] = {"binary_data_size": data.nbytes}
    return entry
