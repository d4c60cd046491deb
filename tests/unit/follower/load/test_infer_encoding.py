"""Infer requests and answers on the wire, against tritonclient's own reader and writer."""

import json
from typing import Any

import numpy as np
import pytest
import tritonclient.http as triton  # type: ignore[import-untyped]
from hypothesis import given
from hypothesis import strategies as st

from follower.load.encode import InputTensor, MalformedAnswer, decode_infer, encode_infer
from follower.load.protocol import Target

TARGET = Target(host="127.0.0.1", port=8000, path="/v2/models/m/infer")
BATCH = np.arange(12, dtype=np.float32).reshape(2, 6)


def header(request: bytes, name: bytes) -> int:
    """A numeric header of a rendered request."""
    lines = dict(line.split(b": ") for line in request.partition(b"\r\n\r\n")[0].split(b"\r\n")[1:])
    return int(lines[name])


def body_of(request: bytes) -> bytes:
    """What follows the head."""
    return request.partition(b"\r\n\r\n")[2]


def test_request_body_is_the_one_that_tritonclient_makes() -> None:
    """Same document, same tensor bytes after it."""
    theirs = triton.InferInput("x", [2, 6], "FP32")
    theirs.set_data_from_numpy(BATCH)
    body, length = triton.InferenceServerClient.generate_request_body([theirs])
    request = encode_infer(TARGET, [InputTensor(name="x", datatype="FP32", array=BATCH)])
    ours, our_length = body_of(request), header(request, b"Inference-Header-Content-Length")
    assert json.loads(ours[:our_length]) == json.loads(body[:length])
    assert ours[our_length:] == body[length:]


def test_request_on_the_wire_says_where_it_goes_and_how_long_it_is() -> None:
    """Request line, host, lengths, a blank line, the body."""
    wire = encode_infer(TARGET, [InputTensor(name="x", datatype="FP32", array=BATCH)])
    head, _, body = wire.partition(b"\r\n\r\n")
    assert head.startswith(b"POST /v2/models/m/infer HTTP/1.1\r\nHost: 127.0.0.1:8000\r\n")
    assert header(wire, b"Content-Length") == len(body)
    assert body.endswith(BATCH.tobytes())


def test_an_ipv6_host_is_bracketed() -> None:
    """As a URI's authority demands."""
    assert b"Host: [::1]:80\r\n" in encode_infer(Target(host="::1", port=80, path="/"), [])


def test_strings_carry_their_length() -> None:
    """BYTES: four bytes of little-endian length before each element."""
    array = np.array([b"ab", "ü"], dtype=object)
    request = encode_infer(TARGET, [InputTensor(name="t", datatype="BYTES", array=array)])
    assert request.endswith(b"\x02\x00\x00\x00ab\x02\x00\x00\x00\xc3\xbc")


def test_arrays_are_cast_and_made_contiguous() -> None:
    """What is sent is the datatype that was announced, in row-major order."""
    array = np.arange(6, dtype=np.int64).reshape(2, 3).T
    request = encode_infer(TARGET, [InputTensor(name="x", datatype="FP32", array=array)])
    assert request.endswith(np.array([[0, 3], [1, 4], [2, 5]], dtype="<f4").tobytes())
    with pytest.raises(ValueError, match="unknown datatype 'FP7'"):
        encode_infer(TARGET, [InputTensor(name="x", datatype="FP7", array=array)])


def answer(outputs: list[dict[str, Any]], binary: bytes = b"") -> tuple[bytes, int]:
    """An answer's body and the length of its JSON."""
    head = json.dumps({"model_name": "m", "outputs": outputs}).encode()
    return head + binary, len(head)


@given(st.lists(st.lists(st.floats(width=32, allow_nan=False), min_size=3, max_size=3), min_size=1, max_size=5))
def test_binary_outputs_come_back_as_they_were(rows: list[list[float]]) -> None:
    """Value and shape, as tritonclient reads them too."""
    array = np.array(rows, dtype=np.float32)
    size = {"binary_data_size": array.nbytes}
    entry = {"name": "y", "datatype": "FP32", "shape": list(array.shape), "parameters": size}
    body, length = answer([entry], array.tobytes())
    assert (decode_infer(body, length)["y"] == array).all()
    theirs = triton.InferenceServerClient.parse_response_body(body, header_length=length)
    assert (theirs.as_numpy("y") == array).all()


def test_json_outputs_and_binary_ones_may_be_mixed() -> None:
    """Offsets count the binary ones only."""
    body, length = answer(
        [
            {"name": "a", "datatype": "UINT8", "shape": [2], "parameters": {"binary_data_size": 2}},
            {"name": "b", "datatype": "INT64", "shape": [1, 2], "data": [5, 6]},
            {"name": "c", "datatype": "BYTES", "shape": [2], "parameters": {"binary_data_size": 9}},
        ],
        b"\x01\x02" + b"\x01\x00\x00\x00a\x00\x00\x00\x00",
    )
    outputs = decode_infer(body, length)
    assert outputs["a"].tolist() == [1, 2]
    assert outputs["b"].tolist() == [[5, 6]]
    assert outputs["c"].tolist() == [b"a", b""]


def test_plain_json_answer_needs_no_length_header() -> None:
    """Without the header the whole body is JSON."""
    body, _ = answer([{"name": "y", "datatype": "FP32", "shape": [1], "data": [0.5]}])
    assert decode_infer(body, None)["y"].tolist() == [0.5]


TWO_BYTES: dict[str, Any] = {"name": "y", "datatype": "UINT8", "shape": [2], "parameters": {"binary_data_size": 2}}
STRING: dict[str, Any] = {"name": "y", "datatype": "BYTES", "shape": [1], "parameters": {"binary_data_size": 4}}


@pytest.mark.parametrize(
    ("body", "length"),
    [
        (b"", None),
        (b"not json", None),
        (b"[]", None),
        (b"{}", None),
        (b'{"outputs": [1]}', None),
        (b"{}", 3),
        (b"{}", -1),
        answer([TWO_BYTES], b"\x01"),
        answer([TWO_BYTES], b"\x01\x02\x03"),
        answer([{**TWO_BYTES, "shape": [3]}], b"\x01\x02"),
        answer([{**TWO_BYTES, "parameters": {"binary_data_size": -2}}], b""),
        answer([{**TWO_BYTES, "datatype": "FP7"}], b"\x01\x02"),
        answer([STRING], b"\x05\x00\x00\x00"),
        answer([{"name": "y", "datatype": "FP32", "shape": [2], "data": [1.0]}]),
    ],
)
def test_a_body_that_is_not_the_promised_one_is_refused(body: bytes, length: int | None) -> None:
    """Whatever is wrong with it, by one error."""
    with pytest.raises(MalformedAnswer):
        decode_infer(body, length)
