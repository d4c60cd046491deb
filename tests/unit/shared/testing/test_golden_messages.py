"""What golden servers say, against the standard clients' readings of it."""

import numpy as np
import pytest
import tritonclient.grpc.service_pb2 as reference  # type: ignore[import-untyped]
import tritonclient.http as triton  # type: ignore[import-untyped]

from shared.testing.behaviour import NULL, Behaviour
from shared.testing.grpc_messages import infer_message, infer_request, samples_of
from shared.testing.http_messages import SCORES, Answers, infer_body, read_head
from shared.testing.http_messages import samples_of as http_samples_of

BODY = b'{"inputs":[{"name":"x","shape":[4,2],"datatype":"FP32"}]}' + bytes(32)
HEAD = (
    b"POST /v2/models/m/infer HTTP/1.1\r\nHost: h\r\n"
    b"Inference-Header-Content-Length: %d\r\ncontent-length:%d\r\n\r\n" % (len(BODY) - 32, len(BODY))
)


def test_a_head_is_read_once_it_is_whole() -> None:
    """Names in any case, with or without a space; nothing before the blank line is there."""
    assert read_head(HEAD[:-1]) is None
    head = read_head(HEAD + BODY[:5])
    assert head == (len(HEAD), len(BODY), len(BODY) - 32)
    assert http_samples_of(HEAD + BODY, head) == 4


def test_a_request_without_tensors_counts_as_one_sample() -> None:
    """As a plain GET does."""
    head = read_head(b"GET / HTTP/1.1\r\n\r\n")
    assert head == (18, 0, 0)
    assert http_samples_of(b"GET / HTTP/1.1\r\n\r\n", head) == 1


def test_an_answer_is_what_the_standard_client_takes() -> None:
    """Scores of every sample, and the filler where one was asked for."""
    length, body = infer_body(2, 1000)
    answer = triton.InferenceServerClient.parse_response_body(body, header_length=length)
    np.testing.assert_allclose(answer.as_numpy("scores"), [SCORES] * 2, rtol=1e-6)
    assert answer.as_numpy("filler").shape == (1000,)


def test_reports_stand_in_the_head_and_only_where_they_are_wanted() -> None:
    """With the batch size; the null server's answer is always the same bytes."""
    answer = Answers(Behaviour()).infer(3, (("inferbench-queue-ns", 17),))
    assert b"\r\ninferbench-queue-ns: 17\r\n" in answer
    assert b"\r\ninferbench-batch-size: 3\r\n" in answer
    null = Answers(NULL)
    assert null.infer(1, ()) is null.infer(1, ())
    assert b"inferbench" not in null.infer(2, ())


@pytest.mark.parametrize("chunked", [False, True])
def test_the_answer_s_framing_is_right(chunked: bool) -> None:
    """The announced length is the body's; chunks end with an empty one."""
    answer = Answers(Behaviour(chunked=chunked, close_each=True)).infer(1, ())
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"Connection: close" in head
    if chunked:
        assert b"Content-Length: " not in head.replace(b"Inference-Header-Content-Length: ", b"")
        assert body.endswith(b"\r\n0\r\n\r\n")
    else:
        assert f"\r\nContent-Length: {len(body)}".encode() in head


def test_a_wrong_body_has_the_right_length_and_nothing_else_of_it() -> None:
    """So that only who reads it finds out."""
    answers = Answers(Behaviour(reports=False))
    right, wrong = answers.infer(1, ()), answers.wrong_body(1)
    assert len(right) == len(wrong)
    assert wrong.endswith(b"xxxx")
    assert answers.failure().startswith(b"HTTP/1.1 500 ")


def test_the_grpc_answer_is_read_by_generated_code() -> None:
    """Field by field, as the reference implementation of Protocol Buffers sees it."""
    message = reference.ModelInferResponse.FromString(infer_message(2, 300))
    assert message.model_name == "golden"
    assert [(tensor.name, tensor.datatype, list(tensor.shape)) for tensor in message.outputs] == [
        ("scores", "FP32", [2, 3]),
        ("filler", "UINT8", [300]),
    ]
    scores, filler = message.raw_output_contents
    np.testing.assert_allclose(np.frombuffer(scores, np.float32), SCORES * 2, rtol=1e-6)
    assert len(filler) == 300


def test_a_grpc_request_of_generated_code_is_understood() -> None:
    """The batch size of the first input, whatever else stands before it."""
    request = reference.ModelInferRequest(model_name="m", id="7")
    request.parameters["priority"].int64_param = 3
    request.inputs.add(name="x", datatype="FP32", shape=[300, 2])
    assert samples_of(request.SerializeToString()) == 300
    assert samples_of(reference.ModelInferRequest(model_name="m").SerializeToString()) == 1


def test_the_test_client_s_grpc_request_is_read_by_generated_code() -> None:
    """Name, shape and bytes."""
    message = reference.ModelInferRequest.FromString(infer_request("x", "FP32", (200, 1), bytes(800), model="net"))
    assert message.model_name == "net"
    assert (message.inputs[0].name, list(message.inputs[0].shape)) == ("x", [200, 1])
    assert message.raw_input_contents[0] == bytes(800)


def test_a_message_of_another_kind_is_refused() -> None:
    """A fixed-width field has no place in it."""
    with pytest.raises(ValueError, match="field 1 of wire type 5"):
        samples_of(b"\x0d1234")
