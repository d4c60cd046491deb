"""Infer bodies, byte for byte: JSON, binary data, and everything that is refused."""

import json
import struct
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from follower.serve.modelserver.server.codec import OutputWish, decode, encode
from follower.serve.modelserver.server.refusal import Refused
from follower.serve.openinference.tensors import TensorInfo


def json_body(**changes: Any) -> bytes:
    """A request for one float input of shape [2, 2], parts of which may be changed; None leaves a part out."""
    entry = {"name": "x", "datatype": "FP32", "shape": [2, 2], "data": [1, 2, 3, 4], **changes}
    return json.dumps({"inputs": [{key: part for key, part in entry.items() if part is not None}]}).encode()


def binary_body(entries: list[dict[str, Any]], payload: bytes, **document: Any) -> tuple[bytes, int]:
    """A request whose inputs lie behind the JSON, and the JSON's length."""
    header = json.dumps({"inputs": entries, **document}).encode()
    return header + payload, len(header)


def entry(name: str, datatype: str, shape: list[int], size: int) -> dict[str, Any]:
    """An input that announces binary data."""
    return {"name": name, "datatype": datatype, "shape": shape, "parameters": {"binary_data_size": size}}


def refusal(body: bytes, json_length: int | None = None) -> str:
    """What is said to a request that is refused."""
    with pytest.raises(Refused) as caught:
        decode(body, json_length)
    assert caught.value.status == 400
    return caught.value.message


@pytest.mark.parametrize("data", [[1, 2, 3, 4], [[1, 2], [3, 4]], [1.0, 2.0, 3.0, 4.0]])
def test_json_data_may_be_flat_or_nested(data: list[Any]) -> None:
    """Both are row-major."""
    tensor = decode(json_body(data=data), None).inputs["x"]
    assert tensor.array.dtype == np.float32
    np.testing.assert_array_equal(tensor.array, [[1, 2], [3, 4]])


@pytest.mark.parametrize(
    ("datatype", "data", "dtype"),
    [
        ("BOOL", [True, False], np.bool_),
        ("UINT8", [0, 255], np.uint8),
        ("INT8", [-128, 127], np.int8),
        ("INT64", [-(2**63), 2**63 - 1], np.int64),
        ("UINT64", [0, 2**64 - 1], np.uint64),
        ("FP16", [0.5, -2], np.float16),
        ("FP64", [0.1, 1e300], np.float64),
        ("FP64", [0.5, 2**80], np.float64),
    ],
)
def test_json_numbers_keep_their_value_in_every_datatype(datatype: str, data: list[Any], dtype: type) -> None:
    """Up to the ends of the range."""
    array = decode(json_body(datatype=datatype, shape=[2], data=data), None).inputs["x"].array
    assert array.dtype == dtype
    assert array.tolist() == data


def test_strings_come_as_json_strings() -> None:
    """BYTES holds text."""
    array = decode(json_body(datatype="BYTES", shape=[1, 2], data=["a", "ß"]), None).inputs["x"].array
    assert array.tolist() == [["a", "ß"]]


def test_a_scalar_has_one_element_and_no_dimension() -> None:
    """An empty shape is a shape."""
    assert decode(json_body(shape=[], data=[5]), None).inputs["x"].array.shape == ()


def test_binary_inputs_lie_behind_the_json_in_order() -> None:
    """Each takes as many bytes as it announces."""
    a, b = np.arange(3, dtype="<f4"), np.arange(2, dtype="<i8")
    body, length = binary_body([entry("a", "FP32", [3], 12), entry("b", "INT64", [2], 16)], a.tobytes() + b.tobytes())
    inputs = decode(body, length).inputs
    np.testing.assert_array_equal(inputs["a"].array, a)
    np.testing.assert_array_equal(inputs["b"].array, b)


@pytest.mark.parametrize("padding", range(4))
def test_binary_tensors_are_aligned_wherever_they_lie(padding: int) -> None:
    """The JSON may have any length; compute kernels get aligned memory."""
    body, length = binary_body([entry("x", "FP32", [1], 4)], struct.pack("<f", 7.5), id="i" * padding)
    array = decode(body, length).inputs["x"].array
    assert array.flags.aligned
    assert array.tolist() == [7.5]


def test_binary_strings_have_length_prefixes() -> None:
    """Four bytes, little-endian, then the text."""
    payload = struct.pack("<I", 2) + "é".encode() + struct.pack("<I", 0)
    body, length = binary_body([entry("x", "BYTES", [2], len(payload))], payload)
    assert decode(body, length).inputs["x"].array.tolist() == ["é", ""]


def test_json_and_binary_inputs_mix() -> None:
    """One input may carry data while another announces bytes."""
    body, length = binary_body(
        [entry("a", "UINT8", [2], 2), {"name": "b", "datatype": "INT32", "shape": [1], "data": [3]}], b"\x01\x02"
    )
    inputs = decode(body, length).inputs
    assert (inputs["a"].array.tolist(), inputs["b"].array.tolist()) == ([1, 2], [3])


def test_outputs_are_json_unless_asked_for_as_binary() -> None:
    """The request sets the default, each output may differ."""
    plain = json.loads(json_body())
    plain["outputs"] = [{"name": "y"}, {"name": "z", "parameters": {"binary_data": True}}]
    assert decode(json.dumps(plain).encode(), None).outputs == (OutputWish("y", False), OutputWish("z", True))
    plain["parameters"] = {"binary_data_output": True}
    request = decode(json.dumps(plain).encode(), None)
    assert request.binary_outputs
    assert request.outputs == (OutputWish("y", True), OutputWish("z", True))


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "Inference-Header-Content-Length is 0"),
        (b"{", "not JSON"),
        (b"\xff\xfe{", "not JSON"),
        (b"[1]", "must be a JSON object"),
        (b"{}", "inputs is missing or empty"),
        (b'{"inputs": {}}', "inputs must be a list of objects"),
        (b'{"inputs": [3]}', "inputs must be a list of objects"),
        (b'{"inputs": [], "outputs": "y"}', "inputs is missing or empty"),
        (json_body(name=None), "needs a name"),
        (json_body(name=3), "needs a name"),
        (json_body(datatype="FLOAT"), "datatype must be one of BOOL"),
        (json_body(datatype=["FP32"]), "datatype must be one of BOOL"),
        (json_body(shape=None), "shape must be a list"),
        (json_body(shape=[2, -2]), "shape must be a list of integers from 0 up"),
        (json_body(shape=[2.0, 2]), "shape must be a list of integers from 0 up"),
        (json_body(shape=[True, 4]), "shape must be a list of integers from 0 up"),
        (json_body(shape=[3]), "has 3 elements, but data has 4"),
        (json_body(data=None), "neither data nor"),
        (json_body(data=7), "data must be a list"),
        (json_body(data=[[1], [2, 3, 4]]), "nested unevenly"),
        (json_body(data=[1, 2, 3, "4"]), "not FP32"),
        (json_body(data=[1, 2, 3, None]), "not FP32"),
        (json_body(data=[1, 2, 3, 1e39]), "beyond FP32"),
        (json_body(datatype="INT32", data=[1, 2, 3, 4.5]), "not INT32"),
        (json_body(datatype="INT8", data=[1, 2, 3, 128]), "outside of INT8 (-128 to 127)"),
        (json_body(datatype="UINT8", data=[1, 2, 3, -1]), "outside of UINT8 (0 to 255)"),
        (json_body(datatype="INT64", data=[1, 2, 3, 2**70]), "outside of INT64"),
        (json_body(datatype="UINT64", data=[1, 2, 3, 2**64]), "outside of UINT64"),
        (json_body(datatype="UINT64", data=[1, 2, 2**63, 0.5]), "not UINT64"),
        (json_body(datatype="FP64", data=[1, 2, 3, 10**400]), "beyond FP64"),
        (json_body(datatype="BOOL", data=[1, 0, 1, 0]), "not BOOL"),
        (json_body(datatype="BYTES", data=["a", "b", "c", 4]), "BYTES takes strings"),
        (json_body(parameters=3), "parameters must be an object"),
        (json_body(parameters={"shared_memory_region": "r"}), "shared memory extension is not supported"),
        (json_body().replace(b"4]", b"NaN]"), "NaN is not JSON"),
        (json_body().replace(b'{"inputs"', b'{"id": 5, "inputs"'), "id must be a string"),
    ],
)
def test_a_wrong_json_request_is_refused_with_the_reason(body: bytes, words: str) -> None:
    """Status 400, and words that name the place."""
    assert words in refusal(body)


def test_an_input_sent_twice_is_refused() -> None:
    """Neither of the two can be known to be meant."""
    one = json.loads(json_body())["inputs"][0]
    assert "sent twice" in refusal(json.dumps({"inputs": [one, one]}).encode())


@pytest.mark.parametrize(
    ("datatype", "shape", "size", "payload", "words"),
    [
        ("FP32", [2], 8, b"1234", "announces 8 bytes, but only 4 are left"),
        ("FP32", [2], 8, b"123456789", "1 bytes more than the inputs announce"),
        ("FP32", [3], 8, b"12345678", "takes 12 bytes, but 8 were sent"),
        ("FP32", [2], -8, b"", "integer from 0 up"),
        ("FP32", [2], True, b"1", "integer from 0 up"),
        ("BYTES", [1], 3, b"\x01\x00\x00", "string at byte 0 is cut off"),
        ("BYTES", [1], 5, b"\x09\x00\x00\x00a", "string at byte 0 is cut off"),
        ("BYTES", [2], 5, b"\x01\x00\x00\x00a", "has 2 elements, but 1 were sent"),
        ("BYTES", [1], 5, b"\x01\x00\x00\x00\xff", "is not UTF-8"),
    ],
)
def test_wrong_binary_data_is_refused_with_the_reason(
    datatype: str, shape: list[int], size: int, payload: bytes, words: str
) -> None:
    """Lengths that contradict each other are never guessed at."""
    body, length = binary_body([entry("x", datatype, shape, size)], payload)
    assert words in refusal(body, length)


@pytest.mark.parametrize("length", [0, 10_000])
def test_a_json_length_outside_of_the_body_is_refused(length: int) -> None:
    """The header must point into the body."""
    assert "Inference-Header-Content-Length" in refusal(json_body(), length)


def test_data_and_binary_size_together_are_refused() -> None:
    """One tensor has one value."""
    both = {**entry("x", "UINT8", [1], 1), "data": [1]}
    assert "both data and" in refusal(*binary_body([both], b"\x01"))


@pytest.mark.parametrize(
    ("outputs", "words"),
    [
        ([{"name": "y", "parameters": {"binary_data": 1}}], "binary_data must be true or false"),
        ([{"name": "y", "parameters": {"classification": 3}}], "classification extension is not supported"),
        ([{}], "every entry of outputs needs a name"),
    ],
)
def test_a_wrong_wish_for_outputs_is_refused(outputs: list[Any], words: str) -> None:
    """Outputs are checked as inputs are."""
    document = json.loads(json_body())
    document["outputs"] = outputs
    assert words in refusal(json.dumps(document).encode())


Y = TensorInfo(name="y", datatype="FP32", shape=(-1, 2))
YS: npt.NDArray[Any] = np.array([[1, 2], [3, 4]], np.float32)


def test_a_json_answer_is_the_protocols_object() -> None:
    """Names, datatypes, shapes, flat data and the request's id."""
    answer = encode("m", "id-7", [(Y, YS, False)])
    assert answer.json_length is None
    assert json.loads(answer.body) == {
        "model_name": "m",
        "model_version": "1",
        "id": "id-7",
        "outputs": [{"name": "y", "datatype": "FP32", "shape": [2, 2], "data": [1.0, 2.0, 3.0, 4.0]}],
    }


def test_a_binary_answer_has_its_tensors_behind_the_json() -> None:
    """Only what was asked for as binary lies there."""
    labels = TensorInfo(name="l", datatype="BYTES", shape=(-1,))
    texts = np.array(["a", "é"], dtype=object)
    answer = encode("m", None, [(Y, YS.T, True), (Y, YS, False), (labels, texts, True)])
    assert answer.json_length is not None
    document = json.loads(answer.body[: answer.json_length])
    assert "id" not in document
    assert [output.get("parameters") for output in document["outputs"]] == [
        {"binary_data_size": 16},
        None,
        {"binary_data_size": 11},
    ]
    strings = b"\x01\x00\x00\x00a\x02\x00\x00\x00\xc3\xa9"
    assert answer.body[answer.json_length :] == struct.pack("<4f", 1, 3, 2, 4) + strings


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_values_that_json_cannot_hold_are_refused_as_json_and_sent_as_binary(number: float) -> None:
    """No invalid JSON is ever sent."""
    values = np.array([[number, 1]], np.float32)
    with pytest.raises(Refused, match="ask for binary_data"):
        encode("m", None, [(Y, values, False)])
    assert encode("m", None, [(Y, values, True)]).body.endswith(values.tobytes())


arrays = st.sampled_from(["<f4", "<f8", "<i8", "|u1", "|b1"]).flatmap(
    lambda dtype: st.tuples(st.integers(0, 4), st.integers(1, 3), st.randoms(use_true_random=False)).map(
        lambda drawn: (
            np.frombuffer(drawn[2].randbytes(drawn[0] * drawn[1] * 8), np.uint8)
            .astype(dtype)[: drawn[0] * drawn[1]]
            .reshape(drawn[0], drawn[1])
        )
    )
)
NAMES = {"f4": "FP32", "f8": "FP64", "i8": "INT64", "u1": "UINT8", "b1": "BOOL"}


@given(array=arrays, binary=st.booleans())
def test_what_is_encoded_decodes_to_the_same(array: npt.NDArray[Any], binary: bool) -> None:
    """An answer's tensor, sent back as an input, is the same tensor in either form."""
    info = TensorInfo(name="x", datatype=NAMES[array.dtype.str[1:]], shape=(-1, -1))
    answer = encode("m", None, [(info, array, binary)])
    length = answer.json_length if answer.json_length is not None else len(answer.body)
    document = json.loads(answer.body[:length])
    header = json.dumps({"inputs": document["outputs"]}).encode()
    body = header + answer.body[length:]
    decoded = decode(body, len(header)).inputs["x"]
    assert decoded.datatype == info.datatype
    np.testing.assert_array_equal(decoded.array, array)
    assert decoded.array.dtype == array.dtype
