"""What a model takes and gives, asked for over gRPC. Source: KServe's ``grpc_predict_v2.proto``, ModelMetadata."""

import struct
from dataclasses import replace
from typing import Final

from follower.load.ask import NoAnswer, ask
from follower.load.protobuf import Value, WireError, bytes_of, fields, length_field, numbers_of, signed
from follower.load.protocol import Target
from follower.serve.openinference.tensors import ModelMetadata, TensorInfo

METADATA_PATH: Final = "/inference.GRPCInferenceService/ModelMetadata"
_NAME: Final = 1
_INPUTS: Final = 4
_OUTPUTS: Final = 5
_TENSOR_DATATYPE: Final = 2
_TENSOR_SHAPE: Final = 3


def grpc_metadata(target: Target, timeout_ns: int) -> ModelMetadata:
    """The model's description from the server of ``target``, whose path is replaced.

    Raises:
        NoAnswer: none, or none that can be read.
    """
    message = length_field(_NAME, target.model_name.encode())
    body = ask(replace(target, path=METADATA_PATH), struct.pack(">BI", 0, len(message)) + message, timeout_ns).body
    try:
        return read_metadata(body)
    except (WireError, UnicodeDecodeError) as error:
        raise NoAnswer(f"the model's metadata cannot be read: {error}") from error


def read_metadata(message: bytes) -> ModelMetadata:
    """A ModelMetadataResponse.

    Raises:
        WireError: it is malformed, or has a field of another kind.
        UnicodeDecodeError: a name is not UTF-8.
    """
    found = list(fields(memoryview(message)))
    names = [_text(value) for number, _, value in found if number == _NAME]
    return ModelMetadata(
        name=names[-1] if names else "",
        inputs=tuple(_tensor(value) for number, _, value in found if number == _INPUTS),
        outputs=tuple(_tensor(value) for number, _, value in found if number == _OUTPUTS),
    )


def _tensor(value: Value) -> TensorInfo:
    name, datatype, shape = "", "", list[int]()
    for number, kind, item in fields(bytes_of(value)):
        if number == _NAME:
            name = _text(item)
        elif number == _TENSOR_DATATYPE:
            datatype = _text(item)
        elif number == _TENSOR_SHAPE:
            shape += map(signed, numbers_of(kind, item))
    return TensorInfo(name=name, datatype=datatype, shape=tuple(shape))


def _text(value: Value) -> str:
    return bytes(bytes_of(value)).decode()
