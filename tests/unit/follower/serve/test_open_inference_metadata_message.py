"""ModelMetadataResponses byte by byte, and what is made of what is none."""

import pytest

from follower.load.protobuf import WireError
from follower.serve.endpoint.metadata import read_metadata
from follower.serve.openinference.tensors import TensorInfo


def field(number: int, data: bytes) -> bytes:
    """A field of at most 127 bytes, of a number below 16."""
    return bytes([number << 3 | 2, len(data)]) + data


MINUS_ONE = b"\xff" * 9 + b"\x01"
HEAD = field(1, b"x") + field(2, b"FP32")


@pytest.mark.parametrize("shape", [field(3, MINUS_ONE + b"\x04"), b"\x18" + MINUS_ONE + b"\x18\x04"])
def test_a_shape_is_read_packed_or_one_by_one(shape: bytes) -> None:
    """Both are allowed; a free dimension is -1."""
    model = read_metadata(field(1, b"m") + field(4, HEAD + shape) + field(5, HEAD))
    assert model.name == "m"
    assert model.inputs == (TensorInfo(name="x", datatype="FP32", shape=(-1, 4)),)
    assert model.outputs == (TensorInfo(name="x", datatype="FP32", shape=()),)


@pytest.mark.parametrize("message", [b"\x08\x01", b"\x20\x01", field(4, b"\x10\x01"), field(4, b"\x1dabcd")])
def test_a_field_of_another_kind_is_no_description(message: bytes) -> None:
    """A number for a name, for a tensor or for its type; a shape of fixed-width numbers."""
    with pytest.raises(WireError):
        read_metadata(message)
