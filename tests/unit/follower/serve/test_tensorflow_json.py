"""The REST bodies of the stand-in: read against the signature, written as the interface describes them."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from follower.load.predict_json import decode_predict
from follower.serve.openinference.tensors import ModelMetadata, TensorInfo
from follower.serve.tensorflow.server.json_tensors import read, write
from follower.serve.tensorflow.server.refusal import Refused

X = TensorInfo(name="x", datatype="FP32", shape=(-1, 2))
TEXT = TensorInfo(name="t", datatype="BYTES", shape=(-1,))
ONE = ModelMetadata(name="m", inputs=(X,), outputs=())
TWO = ModelMetadata(name="m", inputs=(X, TEXT), outputs=())


def test_columns_are_read_with_the_signatures_types() -> None:
    """Integers of JSON too; strings plain or in base 64."""
    found = read(b'{"inputs":{"x":[[1,2]],"t":["a",{"b64":"/w=="}]}}', TWO)
    assert found["x"].dtype == np.float32
    assert found["x"].tolist() == [[1.0, 2.0]]
    assert found["t"].tolist() == [b"a", b"\xff"]


def test_the_only_input_may_come_without_its_name() -> None:
    """As the interface allows it."""
    assert read(b'{"signature_name":"serving_default","inputs":[[1,2]]}', ONE)["x"].tolist() == [[1.0, 2.0]]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", "column format"),
        (b'{"instances":[[1,2]]}', "column format"),
        (b'{"signature_name":"other","inputs":[[1,2]]}', "'other' not found"),
        (b'{"inputs":{"x":[[1],[2,3]]}}', "no FP32 tensor"),
        (b'{"inputs":{"x":["a"]}}', "no FP32 tensor"),
        (b'{"inputs":{"x":{"a":1}}}', "no FP32 tensor"),
    ],
)
def test_what_is_no_request_for_the_signature_is_refused(body: bytes, words: str) -> None:
    """Each with its reason."""
    with pytest.raises(Refused, match=words) as caught:
        read(body, ONE)
    assert caught.value.code == "INVALID_ARGUMENT"


def test_several_inputs_must_be_named() -> None:
    """A lone list cannot be for both."""
    with pytest.raises(Refused, match=r"\['t', 'x'\]"):
        read(b'{"inputs":[[1,2]]}', TWO)


def test_outputs_stand_under_their_names_or_alone() -> None:
    """Strings plain, or in base 64 where the name says that they are binary."""
    y, text = np.array([[0.5]], np.float32), np.array([b"\xc3\xbc"], dtype=object)
    assert json.loads(write({"y": y})) == {"outputs": [[0.5]]}
    assert json.loads(write({"y": y, "t": text, "t_bytes": text})) == {
        "outputs": {"y": [[0.5]], "t": ["ü"], "t_bytes": [{"b64": "w7w="}]}
    }


@given(st.lists(st.floats(width=32), min_size=1), st.lists(st.binary(), min_size=1))
def test_the_sender_reads_what_the_server_writes(numbers: list[float], strings: list[bytes]) -> None:
    """Every float, infinite and not a number among them, and any bytes."""
    sent = {"y": np.array(numbers, np.float32), "s_bytes": np.array([*strings, None], dtype=object)[:-1]}
    found = decode_predict(write(sent))
    np.testing.assert_array_equal(found["y"].astype(np.float32), sent["y"])
    assert found["s_bytes"].tolist() == strings
