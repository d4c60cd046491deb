"""Infer messages against tritonclient's generated classes, which Google's protobuf library encodes and decodes."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as shaped
from tritonclient.grpc import service_pb2  # type: ignore[import-untyped]
from tritonclient.utils import deserialize_bytes_tensor  # type: ignore[import-untyped]

from follower.load.encode import InputTensor, MalformedAnswer
from follower.load.infer_message import PREFIX_BYTES, decode_infer_message, encode_infer_message
from follower.serve.openinference.tensors import DTYPES

SHAPES = shaped.array_shapes(min_dims=1, max_dims=3, max_side=4)
NUMERIC = [name for name in DTYPES if name != "BYTES"]
CONTENTS = {
    "BOOL": "bool_contents", "INT8": "int_contents", "INT16": "int_contents", "INT32": "int_contents",
    "INT64": "int64_contents", "UINT8": "uint_contents", "UINT16": "uint_contents", "UINT32": "uint_contents",
    "UINT64": "uint64_contents", "FP32": "fp32_contents", "FP64": "fp64_contents",
}  # fmt: skip


@st.composite
def tensors(draw: st.DrawFn) -> tuple[str, npt.NDArray[Any]]:
    """A datatype and an array of it."""
    datatype = draw(st.sampled_from(NUMERIC))
    array: npt.NDArray[Any] = draw(shaped.arrays(DTYPES[datatype], SHAPES))
    return datatype, array


def request_of(message: bytes) -> Any:
    """What the protobuf library reads; the prefix is the message's length."""
    assert message[:PREFIX_BYTES] == b"\0" + (len(message) - PREFIX_BYTES).to_bytes(4)
    return service_pb2.ModelInferRequest.FromString(message[PREFIX_BYTES:])


@given(st.text(max_size=20), st.lists(st.tuples(st.text(max_size=10), tensors()), max_size=3))
def test_a_request_is_the_one_that_the_protobuf_library_reads(
    model: str, inputs: list[tuple[str, tuple[str, npt.NDArray[Any]]]]
) -> None:
    """Model, names, datatypes, shapes, raw bytes; and no byte that it does not know."""
    ours = encode_infer_message(
        model, [InputTensor(name=name, datatype=datatype, array=array) for name, (datatype, array) in inputs]
    )
    theirs = request_of(ours)
    assert theirs.model_name == model
    described = [(entry.name, entry.datatype, tuple(entry.shape)) for entry in theirs.inputs]
    assert described == [(name, datatype, array.shape) for name, (datatype, array) in inputs]
    assert list(theirs.raw_input_contents) == [array.tobytes() for _, (_, array) in inputs]
    assert len(theirs.SerializeToString()) <= len(ours) - PREFIX_BYTES


def test_strings_are_sent_as_tritonclient_reads_them() -> None:
    """Each with its length before it."""
    array = np.array([[b"ab", "ü"], ["", b"\0"]], dtype=object)
    message = encode_infer_message("m", [InputTensor(name="t", datatype="BYTES", array=array)])
    (raw,) = request_of(message).raw_input_contents
    assert deserialize_bytes_tensor(raw).tolist() == [b"ab", "ü".encode(), b"", b"\0"]


def test_an_unknown_datatype_is_refused() -> None:
    """Before anything is sent."""
    with pytest.raises(ValueError, match="FP7"):
        encode_infer_message("m", [InputTensor(name="x", datatype="FP7", array=np.zeros(1))])


@given(st.lists(tensors(), max_size=3), st.booleans())
def test_outputs_come_back_as_they_were(outputs: list[tuple[str, npt.NDArray[Any]]], raw: bool) -> None:
    """Raw, or as typed contents where the datatype has any; value, type and shape."""
    outputs = [(datatype, array) for datatype, array in outputs if raw or datatype != "FP16"]
    response = service_pb2.ModelInferResponse(model_name="m", id="7")
    response.parameters["note"].string_param = "passed over"
    for index, (datatype, array) in enumerate(outputs):
        entry = response.outputs.add(name=f"y{index}", datatype=datatype, shape=array.shape)
        if raw:
            response.raw_output_contents.append(array.tobytes())
        else:
            getattr(entry.contents, CONTENTS[datatype]).extend(array.ravel().tolist())
    found = decode_infer_message(response.SerializeToString())
    assert list(found) == [f"y{index}" for index in range(len(outputs))]
    for (_, array), ours in zip(outputs, found.values(), strict=True):
        assert (ours.dtype, ours.shape) == (array.dtype, array.shape)
        assert ours.tobytes() == array.tobytes() or np.array_equal(ours, array, equal_nan=array.dtype.kind == "f")


@given(st.lists(st.binary(max_size=9), max_size=6), st.booleans())
def test_strings_come_back_as_they_were(values: list[bytes], raw: bool) -> None:
    """Raw with lengths, or as typed contents."""
    response = service_pb2.ModelInferResponse()
    entry = response.outputs.add(name="y", datatype="BYTES", shape=[len(values)])
    if raw:
        response.raw_output_contents.append(b"".join(len(value).to_bytes(4, "little") + value for value in values))
    else:
        entry.contents.bytes_contents.extend(values)
    found = decode_infer_message(response.SerializeToString())["y"]
    assert found.tolist() == values
    assert found.dtype == object


def test_numbers_that_are_not_packed_are_read_too() -> None:
    """Old encoders write a repeated field one by one; a reader must take both."""
    shape = b"\x18\x02\x18\x01"  # field 3 twice: [2, 1]
    contents = b"\x10\x05\x10" + b"\xff" * 9 + b"\x01"  # int_contents: 5, -1
    output = b"\x0a\x01y" + b"\x12\x05INT32" + shape + b"\x2a" + bytes([len(contents)]) + contents
    assert decode_infer_message(b"\x2a" + bytes([len(output)]) + output)["y"].tolist() == [[5], [-1]]


def response(datatype: str, shape: list[int], raw: list[bytes]) -> bytes:
    """One output and these raw contents."""
    made = service_pb2.ModelInferResponse(raw_output_contents=raw)
    made.outputs.add(name="y", datatype=datatype, shape=shape)
    return bytes(made.SerializeToString())


@pytest.mark.parametrize(
    "message",
    [
        b"\xff",
        b"\x2a\x05abc",
        b"\x28\x01",
        b"\x30\x01",
        b"\x2a\x04\x0a\x02\xff\xff",
        b"\x2a\x05\x1d\x01\x02\x03\x04",
        response("FP32", [2], [b"1234"]),
        response("FP32", [1], [b"1234", b"5678"]),
        response("FP32", [-1], [b""]),
        response("FP32", [2], []),
        response("FP16", [1], []),
        response("FP7", [1], [b"1"]),
        response("BYTES", [1], [b"\x05\0\0\0abc"]),
        response("BYTES", [2], [b"\x01\0\0\0a"]),
        response("FP32", [2**62, 4], []),
    ],
)
def test_a_message_that_is_not_the_promised_one_is_refused(message: bytes) -> None:
    """Whatever is wrong with it, by one error."""
    with pytest.raises(MalformedAnswer):
        decode_infer_message(message)


@given(st.binary(max_size=80))
def test_garbage_never_breaks_the_reader_in_another_way(message: bytes) -> None:
    """Outputs, or MalformedAnswer."""
    try:
        decode_infer_message(message)
    except MalformedAnswer:
        return
