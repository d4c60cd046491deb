"""The REST predict call: what is sent is the JSON that the interface describes, and its answers are read back."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from follower.load.dialects import DIALECTS, target_of
from follower.load.encode import InputTensor, MalformedAnswer
from follower.load.predict_json import UNNAMED, decode_predict, encode_predict
from follower.serve.protocol import Endpoint

ENDPOINT = Endpoint(host="::1", port=8501, model_name="resnet", dialect="tensorflow-rest")
TARGET = target_of(ENDPOINT)


def document_of(request: bytes) -> Any:
    """The JSON of a request, whose length its head tells."""
    head, _, body = request.partition(b"\r\n\r\n")
    assert b"Content-Length: %d" % len(body) in head
    return json.loads(body)


def test_a_request_goes_to_the_models_predict_call() -> None:
    """With the host as a URI writes it."""
    head = encode_predict(TARGET, []).partition(b"\r\n\r\n")[0]
    assert head.startswith(b"POST /v1/models/resnet:predict HTTP/1.1\r\nHost: [::1]:8501\r\n")


def test_tensors_are_sent_in_columns_by_name() -> None:
    """With the signature's name."""
    inputs = [
        InputTensor(name="x", datatype="FP32", array=np.array([[0.5, 1], [2, 3]])),
        InputTensor(name="n", datatype="INT64", array=np.array([1, 2])),
        InputTensor(name="b", datatype="BOOL", array=np.array([True, False])),
    ]
    assert document_of(encode_predict(TARGET, inputs)) == {
        "signature_name": "serving_default",
        "inputs": {"x": [[0.5, 1.0], [2.0, 3.0]], "n": [1, 2], "b": [True, False]},
    }


def test_strings_are_sent_in_base_64() -> None:
    """So that any bytes can be."""
    array = np.array([[b"\xff"], ["a"]], dtype=object)
    document = document_of(encode_predict(TARGET, [InputTensor(name="t", datatype="BYTES", array=array)]))
    assert document["inputs"] == {"t": [[{"b64": "/w=="}], [{"b64": "YQ=="}]]}


def test_an_unknown_datatype_is_refused() -> None:
    """Before anything is sent."""
    with pytest.raises(ValueError, match="FP7"):
        encode_predict(TARGET, [InputTensor(name="x", datatype="FP7", array=np.zeros(1))])


def test_several_outputs_come_by_name() -> None:
    """Numbers, integers and strings, in base 64 or plain."""
    found = decode_predict(b'{"outputs":{"y":[[1.5,2]],"n":[3],"s":[{"b64":"/w=="}],"t":["\\u00fc"],"nan":[NaN]}}')
    assert found["y"].tolist() == [[1.5, 2.0]]
    assert found["n"].tolist() == [3]
    assert found["n"].dtype == np.int64
    assert found["s"].tolist() == [b"\xff"]
    assert found["t"].tolist() == ["ü".encode()]
    assert np.isnan(found["nan"]).all()


@pytest.mark.parametrize(("body", "value"), [(b'{"outputs":[[1,2]]}', [[1, 2]]), (b'{"outputs":{"b64":"YQ=="}}', b"a")])
def test_the_only_output_comes_without_its_name(body: bytes, value: object) -> None:
    """As the interface does it; a lone binary string is no set of outputs."""
    assert decode_predict(body)[UNNAMED].tolist() == value


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{}", b'{"error":"no"}', b'{"outputs":{"y":[[1],[2,3]]}}', b'{"outputs":{"y":[null]}}',
     b'{"outputs":{"y":[{"b64":"*"}]}}', b'{"outputs":{"y":[{"b64":7}]}}', b"[" * 100_000],
)  # fmt: skip
def test_what_is_no_predict_response_is_refused(body: bytes) -> None:
    """An error's words, ragged or empty tensors, bad base 64, bottomless nesting."""
    with pytest.raises(MalformedAnswer):
        decode_predict(body)


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text(), lambda inner: st.lists(inner, max_size=3)))
def test_any_json_is_read_or_refused(value: Any) -> None:
    """Nothing else is raised."""
    try:
        decode_predict(json.dumps({"outputs": value}).encode())
    except MalformedAnswer:
        return


def test_an_error_is_explained_in_the_servers_words() -> None:
    """As for every HTTP answer: the status and the body's beginning."""
    codec = DIALECTS["tensorflow-rest"].codec(TARGET, keep_body=True)
    codec.start(b"")
    body = b'{"error":"Input size does not match signature"}'
    assert codec.feed(memoryview(b"HTTP/1.1 400 Bad Request\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)))
    assert codec.explanation == f"status 400: {body.decode()}"
