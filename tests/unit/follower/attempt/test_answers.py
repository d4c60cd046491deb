"""Answers before the load: asked once each over real sockets, graded by hand-worked examples."""

import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest

from follower.attempt.answers import are_answers, ask_all, grade, metric_of
from follower.generate.datasets.dataset import Sample
from follower.load.codec import Codec
from follower.load.encode import MalformedAnswer
from follower.load.protocol import Target
from follower.pipeline.protocol import Answer, PipelineFailed
from shared.errors import AttemptFailed
from shared.jobs.endpoint_api import TemplateApi
from shared.jobs.lifecycle import Cause
from shared.jobs.pipeline import PipelineSpec

SECOND_NS = 1_000_000_000


class EchoWork:
    """Sends the payload's number; the answer is the body that came back."""

    takes_time = True

    def __init__(self, count: int, *, broken: Sequence[int] = ()) -> None:
        self.answers: list[object] = [None] * count
        self._broken = broken

    def request(self, payload: int) -> bytes:
        if payload in self._broken:
            raise PipelineFailed(f"payload {payload} cannot be pre-processed")
        return f"POST / HTTP/1.1\r\nContent-Length: 0\r\nX-Payload: {payload}\r\n\r\n".encode()

    def finish(self, payload: int, response: Codec) -> None:
        if response.body == b"nonsense":
            raise MalformedAnswer("not an infer response")
        self.answers[payload] = (Answer(response.body.decode(), 0.9),)


@contextmanager
def server(*answers: bytes) -> Iterator[Target]:
    """Answers one connection after another, each with the next of ``answers``; b"" closes it unanswered."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        for answer in answers:
            connection, _ = listener.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(answer)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield Target(host="127.0.0.1", port=listener.getsockname()[1], path="/")
    finally:
        listener.close()
        thread.join(5)


def ok(body: bytes) -> bytes:
    """A complete answer."""
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


def test_each_payload_is_asked_once_in_order() -> None:
    """And the service is looked after before each."""
    checks: list[int] = []
    with server(ok(b"a"), ok(b"b")) as target:
        answered = ask_all(EchoWork(2), target, 2, SECOND_NS, lambda: checks.append(1))
    assert answered == [(Answer("a", 0.9),), (Answer("b", 0.9),)]
    assert len(checks) == 2


@pytest.mark.parametrize(
    "answer", [b"", b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n", b"nonsense\r\n\r\n", ok(b"nonsense")]
)
def test_one_sample_without_an_answer_does_not_end_the_pass(answer: bytes) -> None:
    """Closed connection, error status, not HTTP, or not an infer response: the sample stays unanswered."""
    with server(ok(b"a"), answer, ok(b"c")) as target:
        answered = ask_all(EchoWork(3), target, 3, SECOND_NS, lambda: None)
    assert [bool(answer) for answer in answered] == [True, False, True]


def test_three_failures_in_a_row_end_the_attempt() -> None:
    """Nothing can be measured on a service that answers nothing."""
    with server(b"", b"", b"") as target, pytest.raises(AttemptFailed) as caught:
        ask_all(EchoWork(9), target, 9, SECOND_NS, lambda: None)
    assert caught.value.cause is Cause.NO_SUCCESSFUL_REQUEST


def test_a_pipeline_that_fits_no_sample_is_the_runs_own_fault() -> None:
    """With its own cause, and the reason of the last sample."""
    with server() as target, pytest.raises(AttemptFailed, match="payload 1 cannot") as caught:
        ask_all(EchoWork(2, broken=[0, 1]), target, 2, SECOND_NS, lambda: None)
    assert caught.value.cause is Cause.PIPELINE_FAILED


def test_a_service_that_is_gone_ends_the_pass_at_once() -> None:
    """What the check raises goes through."""

    def gone() -> None:
        raise AttemptFailed(Cause.SERVER_DIED, "gone")

    with server() as target, pytest.raises(AttemptFailed, match="gone"):
        ask_all(EchoWork(1), target, 1, SECOND_NS, gone)


def sample(name: str, label: str | None) -> Sample:
    """A sample whose bytes do not matter."""
    return Sample(name, b"", label)


def test_quality_is_the_share_of_right_answers_over_labelled_samples() -> None:
    """Three labelled, two right, one unlabelled: two thirds of three."""
    samples = [sample("a", "cat"), sample("b", "dog"), sample("c", None), sample("d", "cow")]
    answered = [(Answer("cat", 0.9), Answer("cat", 0.5)), (Answer("sun", 0.1), Answer("cow", 1.0))]
    quality = grade("top-1", samples, answered, 2)
    assert quality.value == pytest.approx(2 / 3)
    assert quality.n == 3
    assert [(shown.sample, shown.answer, shown.label) for shown in quality.answers] == [
        ("a", "cat", "cat"), ("b", "cat", "dog"), ("c", "sun", None), ("d", "cow", "cow"),
    ]  # fmt: skip


def test_an_unanswered_sample_is_wrong_and_one_never_asked_does_not_count() -> None:
    """Failures never make a model look good, and a pass cut short does not make it look bad."""
    samples = [sample("a", "cat"), sample("b", "dog"), sample("c", "cow")]
    quality = grade("top-1", samples, [(Answer("cat", 0.9),), None], 1)
    assert (quality.value, quality.n) == (0.5, 2)


def test_the_pipelines_end_decides_how_answers_compare() -> None:
    """Text must match whole; classes by the best one; numbers not at all."""
    assert metric_of(PipelineSpec.model_validate({"postprocess": [{"op": "ctc_decode"}]})) == "exact-match"
    assert metric_of(PipelineSpec.model_validate({"postprocess": [{"op": "softmax"}, {"op": "top_k"}]})) == "top-1"
    assert metric_of(PipelineSpec.model_validate({"postprocess": [{"op": "softmax"}]})) is None
    assert metric_of(PipelineSpec()) is None


def test_what_a_template_points_at_may_be_text_that_has_to_match_whole() -> None:
    """Unless ops make something else of it; without a pointer there is nothing."""
    pointed, silent = (
        TemplateApi(api="template", path="/", body="{{sample}}", sample="json", answer=answer)
        for answer in ("/a", None)
    )
    assert metric_of(PipelineSpec(), pointed) == "exact-match"
    assert metric_of(PipelineSpec.model_validate({"postprocess": [{"op": "top_k"}]}), pointed) == "top-1"
    assert metric_of(PipelineSpec(), silent) is None


def test_numbers_are_no_answers() -> None:
    """A payload's answers stand in one tuple; one word among them is enough."""
    assert not are_answers([None, (None,), (None, None)])
    assert are_answers([None, (None, "cat")])
    assert are_answers([(Answer("cat", 0.5),)])


def test_words_are_graded_without_a_confidence() -> None:
    """The service did not say how sure it was."""
    quality = grade("exact-match", [sample("a", "cat"), sample("b", "dog")], [("cat",), ("cow",)], 1)
    assert quality.value == 0.5
    assert [(shown.answer, shown.confidence) for shown in quality.answers] == [("cat", None), ("cow", None)]
