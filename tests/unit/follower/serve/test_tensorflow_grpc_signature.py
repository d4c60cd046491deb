"""GetModelMetadataResponses byte by byte, and what is made of what is none."""

import pytest

from follower.load.encode import MalformedAnswer
from follower.load.protobuf import WireError
from follower.serve.endpoint.tensorflow_metadata import read_signature
from follower.serve.openinference.tensors import TensorInfo


def field(number: int, data: bytes) -> bytes:
    """A field of at most 127 bytes, of a number below 16."""
    assert len(data) < 128
    return bytes([number << 3 | 2, len(data)]) + data


def entry(key: bytes, value: bytes) -> bytes:
    """Of a map."""
    return field(1, key) + field(2, value)


FREE_BY_4 = field(2, b"\x08" + b"\xff" * 9 + b"\x01") + field(2, b"\x08\x04")
FLOAT_X = field(1, b"x:0") + b"\x10\x01" + field(3, FREE_BY_4)
INT64_N = b"\x10\x09" + field(3, b"")


def response(signature: bytes, name: bytes = b"sd") -> bytes:
    """Of one signature; long messages take two bytes for their length."""
    packed = long_field(1, field(1, name) + long_field(2, signature))
    anything = field(1, b"t") + long_field(2, packed)
    return field(1, field(1, b"m")) + long_field(2, field(1, b"signature_def") + long_field(2, anything))


def long_field(number: int, data: bytes) -> bytes:
    """As ``field``, below 16384 bytes."""
    return bytes([number << 3 | 2, len(data) & 127 | 128, len(data) >> 7]) + data


def test_a_signature_is_read_with_its_tensors_by_name() -> None:
    """A free dimension is -1, a scalar has none."""
    signature = field(1, entry(b"x", FLOAT_X)) + field(1, entry(b"n", INT64_N)) + field(2, entry(b"y", FLOAT_X))
    model = read_signature("m", response(signature, b"serving_default"))
    assert model.name == "m"
    assert model.inputs == (
        TensorInfo(name="n", datatype="INT64", shape=()),
        TensorInfo(name="x", datatype="FP32", shape=(-1, 4)),
    )
    assert model.outputs == (TensorInfo(name="y", datatype="FP32", shape=(-1, 4)),)


@pytest.mark.parametrize(
    ("tensor", "says"),
    [(b"\x10\x63", "data type 99"), (b"\x10\x01" + field(3, b"\x18\x01"), "unknown rank"), (b"\x18\x01", "a number")],
)
def test_a_tensor_that_cannot_be_sent_is_named(tensor: bytes, says: str) -> None:
    """An unknown type, no shape at all, a field of another kind."""
    with pytest.raises((MalformedAnswer, WireError), match=says):
        read_signature("m", response(field(1, entry(b"x", tensor)), b"serving_default"))


def test_another_signature_is_none() -> None:
    """With those that there are."""
    with pytest.raises(MalformedAnswer, match=r"only \['score'\]"):
        read_signature("m", response(b"", b"score"))


@pytest.mark.parametrize("message", [b"", field(1, b"")])
def test_an_answer_without_signatures_says_that_there_are_none(message: bytes) -> None:
    """Such as of a proxy."""
    with pytest.raises(MalformedAnswer, match=r"only \[\]"):
        read_signature("m", message)


def test_a_cut_off_answer_is_malformed() -> None:
    """Bytes that a message promises are missing."""
    with pytest.raises(WireError):
        read_signature("m", response(b"", b"serving_default")[:-1])
