"""Requests of a template, byte by byte, and what is read out of their answers."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from follower.load.dialects import DIALECTS, target_of
from follower.load.encode import InputTensor, MalformedAnswer
from follower.load.protocol import Target
from follower.load.response import ResponseReader
from follower.load.template_http import ANSWER
from follower.serve.protocol import Endpoint
from shared.jobs.endpoint_api import TemplateApi

DIALECT = DIALECTS["template-http"]


def target(**keys: Any) -> Target:
    """Of a template whose other keys are the simplest."""
    given_keys = {"api": "template", "path": "/v1/p?x=1", "body": '{"a":"{{sample}}"}', "sample": "base64", **keys}
    template = TemplateApi.model_validate(given_keys)
    endpoint = Endpoint(
        host="10.0.0.1", port=80, model_name="m", dialect="template-http", authority="lab:80", template=template
    )
    return target_of(endpoint)


def sent(to: Target, array: Any) -> bytes:
    """The request of one sample."""
    return DIALECT.encode(to, [InputTensor(name="sample", datatype="UINT8", array=array)])


def sample(data: bytes) -> Any:
    """As a dataset gives it without pre-processing."""
    return np.frombuffer(data, np.uint8)[np.newaxis]


def answered(pointer: str | None, body: bytes, content_type: str = "application/json") -> Any:
    """The output of an answer, as a list."""
    codec = DIALECT.codec(target(answer=pointer), keep_body=True)
    codec.start(b"")
    head = f"HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n\r\n"
    assert codec.feed(memoryview(head.encode() + body))
    return DIALECT.decode(codec)[ANSWER]


def test_a_sample_in_base_64_byte_by_byte() -> None:
    """RFC 4648's own example, foobar; the path and the name of the host are those that the job gives."""
    assert sent(target(), sample(b"foobar")) == (
        b"POST /v1/p?x=1 HTTP/1.1\r\nHost: lab:80\r\nContent-Type: application/json\r\nContent-Length: 16\r\n\r\n"
        b'{"a":"Zm9vYmFy"}'
    )


def test_headers_go_with_every_request() -> None:
    """A content type of the job's takes the place of ours, in whatever case it is spelt."""
    head = sent(target(headers={"content-type": "application/x+json", "X-Model": "resnet 50"}), sample(b""))
    assert head == (
        b"POST /v1/p?x=1 HTTP/1.1\r\nHost: lab:80\r\ncontent-type: application/x+json\r\nX-Model: resnet 50\r\n"
        b'Content-Length: 8\r\n\r\n{"a":""}'
    )


def test_text_is_escaped_in_json_and_nowhere_else() -> None:
    """Quotes, backslashes, line ends, and letters that JSON may spell either way; the length counts bytes."""
    text = 'say "ä\\"\n'
    assert sent(target(sample="text"), sample(text.encode())).endswith(b'{"a":"say \\"\\u00e4\\\\\\"\\n"}')
    plain = target(sample="text", body="<{{sample}}>é", headers={"Content-Type": "text/plain"})
    assert sent(plain, sample("ä".encode())).endswith("Content-Length: 6\r\n\r\n<ä>é".encode())


def test_numbers_are_sent_as_one_samples_list() -> None:
    """Without the batch's axis; integers stay integers."""
    numbers = target(sample="json", body='{"a":{{sample}}}')
    assert sent(numbers, np.array([[[0.5, 1], [2, -3]]], np.float32)).endswith(b'{"a":[[0.5,1.0],[2.0,-3.0]]}')
    assert sent(numbers, sample(b"\x00\xff")).endswith(b'{"a":[0,255]}')


@pytest.mark.parametrize(
    ("keys", "array", "says"),
    [
        ({}, np.zeros((2, 3), np.uint8), "one sample"),
        ({}, np.zeros((), np.uint8), "one sample"),
        ({}, np.zeros((1, 3), np.float32), "float32"),
        ({"sample": "text"}, sample(b"\xff"), "utf-8"),
        ({"sample": "json", "body": "{{sample}}"}, np.array([[np.nan]]), "Out of range"),
    ],
)
def test_a_sample_that_cannot_stand_in_the_body_is_refused(keys: dict[str, Any], array: Any, says: str) -> None:
    """Before anything is sent: several samples, no bytes, no text, no JSON."""
    with pytest.raises(ValueError, match=says):
        sent(target(**keys), array)


@given(st.text())
def test_any_text_comes_back_out_of_the_json_that_was_sent(text: str) -> None:
    """Surrogates apart, which are no text."""
    head, _, body = sent(target(sample="text"), sample(text.encode())).partition(b"\r\n\r\n")
    assert json.loads(body) == {"a": text}
    assert head.endswith(b"Content-Length: %d" % len(body))


@pytest.mark.parametrize(
    ("pointer", "value"),
    [("/scores", [[0.5, 2.0]]), ("/rows/1", [[3, 4]]), ("/rows/0/1", [2]), ("/a~1b/m~0n", [7]), ("/", [8]),
     ("/text", ["ü".encode()]), ("/yes", [[True, False]])],
)  # fmt: skip
def test_a_pointer_leads_to_scores_or_text(pointer: str, value: list[Any]) -> None:
    """As RFC 6901 has it; the output gets a batch of one."""
    body = b'{"scores":[0.5,2],"rows":[[1,2],[3,4]],"a/b":{"m~n":7},"":8,"text":"\\u00fc","yes":[true,false]}'
    assert answered(pointer, body).tolist() == value


def test_the_empty_pointer_is_the_whole_answer() -> None:
    """A service may answer with its scores and nothing around them."""
    assert answered("", b"[1,2]", "application/x+json").tolist() == [[1, 2]]


def test_without_a_pointer_an_answer_is_not_looked_at() -> None:
    """Whatever it is."""
    assert answered(None, b"<html>", "text/html").shape == (1, 0)


@pytest.mark.parametrize(
    ("pointer", "body", "says"),
    [
        ("/score", b'{"scores":[1]}', "no key 'score'; there are: scores"),
        ("/a/b", b'{"a":{}}', "at '/a': no key 'b'; there are: none"),
        ("/a/1", b'{"a":[1]}', "a list of 1 has no '1'"),
        ("/a/01", b'{"a":[1,2]}', "a list of 2 has no '01'"),
        ("/a/-", b'{"a":[1]}', "a list of 1 has no '-'"),
        ("/a/" + "9" * 5000, b'{"a":[1]}', "a list of 1 has no"),
        ("/a/b", b'{"a":1}', "1 has nothing below it"),
        ("/a", b'{"a":{"b":1}}', "neither numbers nor one text"),
        ("/a", b'{"a":null}', "neither numbers nor one text"),
        ("/a", b'{"a":["x","y"]}', "neither numbers nor one text"),
        ("/a", b'{"a":[1,[2]]}', "not of equal length"),
        ("/a", b'{"a":' + b"9" * 400 + b"}", "neither numbers nor one text"),
        ("/a", b"{", "not JSON"),
        ("/a", b"\xff", "not JSON"),
        ("/a", b"[" * 100_000, "not JSON"),
    ],
)
def test_a_pointer_that_leads_nowhere_says_how_far_it_led(pointer: str, body: bytes, says: str) -> None:
    """With what there is instead."""
    with pytest.raises(MalformedAnswer, match=says):
        answered(pointer, body)


def test_an_answer_of_another_type_is_named() -> None:
    """Such as the page of a proxy."""
    with pytest.raises(MalformedAnswer, match="the answer is text/html, and not JSON"):
        answered("/a", b'{"a":1}', "text/html; charset=utf-8")


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.integers() | st.text(), st.lists))
def test_any_json_is_read_or_refused(value: Any) -> None:
    """Nothing else is raised."""
    try:
        answered("", json.dumps(value).encode())
    except MalformedAnswer:
        return


def test_a_target_without_a_template_is_a_defect() -> None:
    """As is the codec of another dialect."""
    with pytest.raises(ValueError, match="needs a target with a template"):
        DIALECT.codec(Target(host="h", port=1, path="/", dialect="template-http"), keep_body=True)
    with pytest.raises(TypeError, match="the codec that was made for it"):
        DIALECT.decode(ResponseReader(keep_body=True))
