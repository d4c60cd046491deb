"""Predict messages against Google's protobuf library, which encodes and decodes the other side."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as shaped
from support.serving_protos import PredictRequest, PredictResponse

from follower.load.encode import InputTensor, MalformedAnswer
from follower.load.infer_message import PREFIX_BYTES
from follower.load.predict_message import decode_predict_message, encode_predict_message
from follower.serve.openinference.tensors import DTYPES
from follower.serve.tensorflow.datatypes import NUMBER_OF

SHAPES = shaped.array_shapes(min_dims=0, max_dims=3, max_side=4)
NUMERIC = [name for name in NUMBER_OF if name != "BYTES"]
VALUES = {
    "FP32": "float_val", "FP64": "double_val", "INT32": "int_val", "INT16": "int_val", "INT8": "int_val",
    "UINT8": "int_val", "UINT16": "int_val", "INT64": "int64_val", "BOOL": "bool_val", "FP16": "half_val",
    "UINT32": "uint32_val", "UINT64": "uint64_val",
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
    return PredictRequest.FromString(message[PREFIX_BYTES:])


def typed(tensor: Any, datatype: str, array: npt.NDArray[Any]) -> None:
    """Fills the field that TensorFlow uses for the datatype."""
    values = array.view("<u2") if datatype == "FP16" else array
    getattr(tensor, VALUES[datatype]).extend(values.ravel().tolist())


@given(st.text(max_size=20), st.dictionaries(st.text(max_size=10), tensors(), max_size=3))
def test_a_request_is_the_one_that_the_protobuf_library_reads(
    model: str, inputs: dict[str, tuple[str, npt.NDArray[Any]]]
) -> None:
    """Model, signature, names, data types, shapes, contents; and no byte that it does not know."""
    ours = encode_predict_message(
        model, [InputTensor(name=name, datatype=datatype, array=array) for name, (datatype, array) in inputs.items()]
    )
    theirs = request_of(ours)
    assert (theirs.model_spec.name, theirs.model_spec.signature_name) == (model, "serving_default")
    assert [entry.key for entry in theirs.inputs] == list(inputs)
    for entry, (datatype, array) in zip(theirs.inputs, inputs.values(), strict=True):
        assert entry.value.dtype == NUMBER_OF[datatype]
        assert tuple(dim.size for dim in entry.value.tensor_shape.dim) == array.shape
        assert entry.value.tensor_content == array.tobytes()
    assert len(theirs.SerializeToString()) <= len(ours) - PREFIX_BYTES


def test_strings_are_sent_one_by_one() -> None:
    """tensor_content of strings has a form of its own that nobody promises."""
    array = np.array([[b"ab", "ü"], ["", b"\0"]], dtype=object)
    (entry,) = request_of(
        encode_predict_message("m", [InputTensor(name="t", datatype="BYTES", array=array)], "other")
    ).inputs
    assert list(entry.value.string_val) == [b"ab", "ü".encode(), b"", b"\0"]
    assert not entry.value.tensor_content


def test_an_unknown_datatype_is_refused() -> None:
    """Before anything is sent."""
    with pytest.raises(ValueError, match="FP7"):
        encode_predict_message("m", [InputTensor(name="x", datatype="FP7", array=np.zeros(1))])


@given(st.lists(tensors(), max_size=3), st.booleans())
def test_outputs_come_back_as_they_were(outputs: list[tuple[str, npt.NDArray[Any]]], raw: bool) -> None:
    """Raw or in typed fields: value, type and shape."""
    response = PredictResponse()
    response.model_spec.name = "passed over"
    for index, (datatype, array) in enumerate(outputs):
        tensor = response.outputs.add(key=f"y{index}").value
        tensor.dtype = NUMBER_OF[datatype]
        for size in array.shape:
            tensor.tensor_shape.dim.add(size=size)
        if raw:
            tensor.tensor_content = array.tobytes()
        else:
            typed(tensor, datatype, array)
    found = decode_predict_message(response.SerializeToString())
    assert list(found) == [f"y{index}" for index in range(len(outputs))]
    for (_, array), ours in zip(outputs, found.values(), strict=True):
        assert (ours.dtype, ours.shape) == (array.dtype, array.shape)
        assert ours.tobytes() == array.tobytes() or np.array_equal(ours, array, equal_nan=array.dtype.kind == "f")


@given(st.lists(st.binary(max_size=9), max_size=6))
def test_strings_come_back_as_they_were(values: list[bytes]) -> None:
    """As bytes."""
    response = PredictResponse()
    tensor = response.outputs.add(key="y").value
    tensor.dtype = NUMBER_OF["BYTES"]
    tensor.tensor_shape.dim.add(size=len(values))
    tensor.string_val.extend(values)
    assert decode_predict_message(response.SerializeToString())["y"].tolist() == values


@pytest.mark.parametrize(("sent", "found"), [([], [0, 0, 0]), ([7], [7, 7, 7]), ([1, 2], [1, 2, 2])])
def test_the_last_value_stands_for_those_that_were_left_out(sent: list[int], found: list[int]) -> None:
    """As tensor.proto allows; of none, zeros."""
    response = PredictResponse()
    tensor = response.outputs.add(key="y").value
    tensor.dtype = NUMBER_OF["INT64"]
    tensor.tensor_shape.dim.add(size=3)
    tensor.int64_val.extend(sent)
    assert decode_predict_message(response.SerializeToString())["y"].tolist() == found


def response(dtype: int, shape: list[int], content: bytes = b"", strings: tuple[bytes, ...] = ()) -> bytes:
    """One output."""
    made = PredictResponse()
    tensor = made.outputs.add(key="y").value
    tensor.dtype = dtype
    tensor.tensor_content = content
    tensor.string_val.extend(strings)
    for size in shape:
        tensor.tensor_shape.dim.add(size=size)
    return bytes(made.SerializeToString())


@pytest.mark.parametrize(
    "message",
    [
        response(NUMBER_OF["FP32"], [2], b"\0" * 12),
        response(NUMBER_OF["FP32"], [2], b"\0" * 7),
        response(NUMBER_OF["FP32"], [-1], b"\0" * 4),
        response(NUMBER_OF["FP32"], [1 << 40]),
        response(NUMBER_OF["BYTES"], [1], b"\0" * 4),
        response(NUMBER_OF["BYTES"], [3], strings=(b"a",)),
        response(8, [1], b"\0" * 8),
        b"\x0a\x05abc",
        b"\x0a\x02\x10\x01",
        b"\x08\x01",
    ],
)
def test_what_is_no_predict_response_is_refused(message: bytes) -> None:
    """Elements or shapes that cannot be, strings that are none, a type that nobody sends, no message."""
    with pytest.raises(MalformedAnswer):
        decode_predict_message(message)


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(message: bytes) -> None:
    """Nothing else is raised."""
    try:
        decode_predict_message(message)
    except MalformedAnswer:
        return
