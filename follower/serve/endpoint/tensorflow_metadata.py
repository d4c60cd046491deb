"""What a model of TensorFlow Serving takes and gives, asked for over gRPC: no REST port is needed for it.

Source: ``tensorflow_serving/apis/get_model_metadata.proto``, ``tensorflow/core/protobuf/meta_graph.proto``
(SignatureDef, TensorInfo), ``tensorflow/core/framework/tensor_shape.proto``, ``google/protobuf/any.proto``.
"""

import struct
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from follower.load.ask import NoAnswer, ask
from follower.load.encode import MalformedAnswer
from follower.load.protobuf import WireError, bytes_of, fields, length_field, signed
from follower.load.protocol import Target
from follower.serve.openinference.tensors import ModelMetadata, TensorInfo
from follower.serve.tensorflow.datatypes import DATATYPE_OF, SIGNATURE

METADATA_PATH: Final = "/tensorflow.serving.PredictionService/GetModelMetadata"
_SIGNATURES: Final = b"signature_def"  # the one field that can be asked for

_MODEL_SPEC: Final = 1
_SPEC_NAME: Final = 1
_METADATA: Final = 2  # of the request: the fields asked for; of the response: a map of them
_KEY: Final = 1
_VALUE: Final = 2
_ANY_VALUE: Final = 2
_SIGNATURE_DEF: Final = 1
_INPUTS: Final = 1
_OUTPUTS: Final = 2
_TENSOR_DTYPE: Final = 2
_TENSOR_SHAPE: Final = 3
_DIM: Final = 2
_DIM_SIZE: Final = 1
_UNKNOWN_RANK: Final = 3


def grpc_signature(target: Target, timeout_ns: int) -> ModelMetadata:
    """The served signature of the model, from the server of ``target``, whose path is replaced.

    Raises:
        NoAnswer: none, or none that can be read.
    """
    spec = length_field(_MODEL_SPEC, length_field(_SPEC_NAME, target.model_name.encode()))
    message = spec + length_field(_METADATA, _SIGNATURES)
    body = ask(replace(target, path=METADATA_PATH), struct.pack(">BI", 0, len(message)) + message, timeout_ns).body
    try:
        return read_signature(target.model_name, body)
    except (WireError, UnicodeDecodeError, MalformedAnswer) as error:
        raise NoAnswer(f"the model's metadata cannot be read: {error}") from error


def read_signature(model_name: str, message: bytes) -> ModelMetadata:
    """A GetModelMetadataResponse; tensors ordered by name, because a map has no order.

    Raises:
        WireError: it is malformed, or has a field of another kind.
        UnicodeDecodeError: a name is not UTF-8.
        MalformedAnswer: no such signature, an unknown datatype, or a tensor of unknown rank.
    """
    signatures = dict[str, memoryview]()
    for _, packed in (entry for entry in _map(memoryview(message), _METADATA) if entry[0].encode() == _SIGNATURES):
        for number, _, value in fields(packed):
            if number == _ANY_VALUE:
                signatures |= dict(_map(bytes_of(value), _SIGNATURE_DEF))
    if SIGNATURE not in signatures:
        raise MalformedAnswer(f"the model has no signature {SIGNATURE!r}, only {sorted(signatures)}")
    served = signatures[SIGNATURE]
    return ModelMetadata(name=model_name, inputs=_tensors(served, _INPUTS), outputs=_tensors(served, _OUTPUTS))


def _map(data: memoryview, field: int) -> Iterator[tuple[str, memoryview]]:
    """The entries of a map of messages."""
    for number, _, value in fields(data):
        if number == field:
            entry = {inner: bytes_of(item) for inner, _, item in fields(bytes_of(value))}
            yield str(entry.get(_KEY, b""), "utf-8"), entry.get(_VALUE, memoryview(b""))


def _tensors(signature: memoryview, field: int) -> tuple[TensorInfo, ...]:
    return tuple(_tensor(name, tensor) for name, tensor in sorted(_map(signature, field), key=lambda entry: entry[0]))


def _tensor(name: str, tensor: memoryview) -> TensorInfo:
    datatype, shape = 0, memoryview(b"")
    for number, _, value in fields(tensor):
        if number == _TENSOR_DTYPE and isinstance(value, int):
            datatype = value
        elif number == _TENSOR_SHAPE:
            shape = bytes_of(value)
    if datatype not in DATATYPE_OF:
        raise MalformedAnswer(f"tensor {name!r} has data type {datatype}, which cannot be sent")
    return TensorInfo(name=name, datatype=DATATYPE_OF[datatype], shape=tuple(_sizes(name, shape)))


def _sizes(name: str, shape: memoryview) -> Iterator[int]:
    for number, _, value in fields(shape):
        if number == _UNKNOWN_RANK and value:
            raise MalformedAnswer(f"tensor {name!r} is of unknown rank: its shape must be in the signature")
        if number == _DIM:
            sizes = [size for inner, _, size in fields(bytes_of(value)) if inner == _DIM_SIZE]
            yield signed(sizes[-1]) if sizes and isinstance(sizes[-1], int) else 0
