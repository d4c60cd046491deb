"""TensorFlow Serving's PredictRequest and PredictResponse as gRPC messages, as the client sees them. Pure.

Source: ``tensorflow_serving/apis/predict.proto`` and ``model.proto``.
"""

from collections.abc import Sequence
from typing import Final

from follower.load.encode import Array, InputTensor, MalformedAnswer
from follower.load.infer_message import MAX_MESSAGE_BYTES
from follower.load.protobuf import bytes_of, fields, length_field, length_head
from follower.load.tensor_proto import decode_tensor, encode_tensor
from follower.serve.tensorflow.datatypes import SIGNATURE

_MODEL_SPEC: Final = 1
_SPEC_NAME: Final = 1
_SPEC_SIGNATURE: Final = 3
_INPUTS: Final = 2
_OUTPUTS: Final = 1
_KEY: Final = 1
_VALUE: Final = 2


def encode_predict_message(model_name: str, inputs: Sequence[InputTensor], signature: str = SIGNATURE) -> bytes:
    """A PredictRequest that asks for all outputs of the signature, with its gRPC prefix.

    Raises:
        ValueError: an array cannot be cast to its datatype, or the message would be longer than 4 GiB.
    """
    spec = length_field(_SPEC_NAME, model_name.encode()) + length_field(_SPEC_SIGNATURE, signature.encode())
    parts = [length_field(_MODEL_SPEC, spec)]
    for tensor in inputs:
        pieces = encode_tensor(tensor)
        size = sum(map(len, pieces))
        head = length_field(_KEY, tensor.name.encode()) + length_head(_VALUE, size)
        parts += [length_head(_INPUTS, len(head) + size), head, *pieces]
    size = sum(map(len, parts))
    if size > MAX_MESSAGE_BYTES:
        raise ValueError(f"a request of {size} bytes; a gRPC message holds at most {MAX_MESSAGE_BYTES}")
    return b"".join([b"\0", size.to_bytes(4), *parts])


def decode_predict_message(message: bytes) -> dict[str, Array]:
    """The outputs of a PredictResponse (without its gRPC prefix), by name.

    Raises:
        MalformedAnswer: the message is not what the protocol promises.
    """
    try:
        entries = [_entry(bytes_of(value)) for number, _, value in fields(memoryview(message)) if number == _OUTPUTS]
        return {name: decode_tensor(name, tensor) for name, tensor in entries}
    except (KeyError, TypeError, ValueError, OverflowError, MemoryError) as error:
        raise MalformedAnswer(f"the message is not a predict response: {error!r}") from error


def _entry(data: memoryview) -> tuple[str, memoryview]:
    """One entry of a map: the name of a tensor, and its bytes."""
    name, tensor = "", memoryview(b"")
    for number, _, value in fields(data):
        if number == _KEY:
            name = str(bytes_of(value), "utf-8")
        elif number == _VALUE:
            tensor = bytes_of(value)
    return name, tensor
