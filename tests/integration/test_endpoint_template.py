"""Platform ``endpoint`` with a body template, against a small HTTP service that somebody else wrote."""

import base64
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.assignments import assignment, run_spec
from support.attempt_process import RunningAttempt, attempt_process
from support.serving import serve_request

from follower.generate.datasets.builtin import load_builtin
from follower.serve.endpoint.platform import EndpointPlatform
from follower.serve.protocol import Service
from shared.errors import AttemptFailed
from shared.jobs.lifecycle import Cause
from shared.jobs.spec import ServiceSpec
from shared.measure.record import Record

LOCAL = ("127.0.0.0/8",)
SOON_NS = 400_000_000
JSON = {"Content-Type": "application/json"}
LABELS = {sample.data.decode(): sample.label for sample in load_builtin("short-messages").samples}
PICTURES = {sample.data for sample in load_builtin("text-lines").samples}


@dataclass
class Asked:
    """What the service has seen, and what it says to it: body -> status, headers, body."""

    says: Callable[[bytes], tuple[int, Mapping[str, str], bytes]]
    url: str = ""
    paths: set[str] = field(default_factory=set)
    headers: dict[str, str] = field(default_factory=dict)
    bodies: list[bytes] = field(default_factory=list)


@contextmanager
def serving(
    says: Callable[[bytes], tuple[int, Mapping[str, str], bytes]], *, says_length: bool = True
) -> Iterator[Asked]:
    """The service, on a free port."""
    asked = Asked(says)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            asked.paths.add(self.path)
            asked.headers = dict(self.headers)
            asked.bodies.append(body)
            status, headers, answer = says(body)
            self.send_response(status)
            framing = {"Content-Length": str(len(answer))} if says_length else {"Connection": "close"}
            for name, value in {**headers, **framing}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_arguments: Any) -> None:
            """Nothing."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        asked.url = f"http://127.0.0.1:{server.server_address[1]}"
        yield asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def answer(document: Any) -> tuple[int, Mapping[str, str], bytes]:
    """In JSON."""
    return 200, JSON, json.dumps(document).encode()


def text(**keys: Any) -> dict[str, Any]:
    """A template for messages."""
    return {"api": "template", "path": "/classify?v=1", "body": '{"text":"{{sample}}"}', "sample": "text", **keys}


def classified(body: bytes) -> tuple[int, Mapping[str, str], bytes]:
    """Right about every message."""
    return answer({"result": {"label": LABELS[json.loads(body)["text"]]}})


@contextmanager
def attempted(tmp_path: Path, asked: Asked, template: dict[str, Any], **sections: Any) -> Iterator[RunningAttempt]:
    """A whole attempt against the service."""
    spec = run_spec(
        model={"name": "theirs"},
        service={"platform": "endpoint", "url": asked.url, "endpoint": template, "ready_timeout": "5s"},
        **{"requests": {"dataset": "short-messages"}, **sections},
    )
    with attempt_process(tmp_path, assignment(spec=spec), endpoint_hosts=LOCAL) as attempt:
        yield attempt


def record_of(tmp_path: Path, asked: Asked, template: dict[str, Any], **sections: Any) -> Record:
    """What came of it."""
    with attempted(tmp_path, asked, template, **sections) as attempt:
        record = attempt.succeed().record
    assert record.errors == {}
    return record


def test_texts_are_sent_and_the_answers_are_held_against_the_labels(tmp_path: Path) -> None:
    """The service is right, so the quality is 1; it gets the headers of the job."""
    with serving(classified) as asked:
        record = record_of(tmp_path, asked, text(headers={"X-Team": "vision"}, answer="/result/label"))
    assert record.quality is not None
    assert (record.quality.metric, record.quality.value, record.quality.n) == ("exact-match", 1.0, 320)
    assert record.quality.answers[0].confidence is None
    assert asked.paths == {"/classify?v=1"}
    assert asked.headers["X-Team"] == "vision"
    assert asked.headers["Content-Type"] == "application/json"
    assert asked.headers["Host"] == asked.url.removeprefix("http://")
    assert record.environment["in_force"]["service"]["engine"] == "endpoint"


def test_scores_are_post_processed(tmp_path: Path) -> None:
    """A class without a label is its index, so nothing is right here, and everything was answered."""
    template = text(answer="/scores")
    with serving(lambda _: answer({"scores": [0.1, 0.7, 0.2]})) as asked:
        record = record_of(tmp_path, asked, template, pipeline={"postprocess": [{"op": "top_k", "k": 1}]})
    assert record.quality is not None
    assert (record.quality.metric, record.quality.value) == ("top-1", 0.0)
    assert {said.answer for said in record.quality.answers} == {"1"}


def test_pictures_go_in_base_64_and_without_a_pointer_answers_are_not_graded(tmp_path: Path) -> None:
    """The dataset's own bytes arrive; what is answered may be anything."""
    template = {"api": "template", "path": "/", "body": '["{{sample}}"]', "sample": "base64"}
    with serving(lambda _: (200, {"Content-Type": "text/plain"}, b"thanks")) as asked:
        record = record_of(tmp_path, asked, template, requests={"dataset": "text-lines"})
    assert {base64.b64decode(json.loads(body)[0]) for body in asked.bodies} == PICTURES
    assert record.quality is None
    assert any("quality is not available" in note for note in record.notes)


def test_pre_processed_samples_go_as_numbers(tmp_path: Path) -> None:
    """In the shape that the ops give."""
    template = {"api": "template", "path": "/", "body": '{"x":{{sample}}}', "sample": "json", "answer": "/y"}
    ops = [{"op": "decode_image"}, {"op": "resize", "size": [2, 3]}, {"op": "normalize"}, {"op": "channels_first"}]
    with serving(lambda _: answer({"y": [1.5]})) as asked:
        record_of(tmp_path, asked, template, requests={"dataset": "text-lines"}, pipeline={"preprocess": ops})
    assert {np.array(json.loads(body)["x"]).shape for body in asked.bodies} == {(3, 2, 3)}


def test_synthetic_tensors_are_made_ahead_in_the_given_shape(tmp_path: Path) -> None:
    """As many different ones as the job says, after the zeros of the first inference."""
    template = {"api": "template", "path": "/", "body": '{"x":{{sample}}}', "sample": "json", "shape": [2, 2]}
    with serving(lambda _: answer({})) as asked:
        record_of(tmp_path, asked, template, requests={"distinct": 4})
    assert json.loads(asked.bodies[0]) == {"x": [[0, 0], [0, 0]]}
    assert len(set(asked.bodies[1:])) == 4


def test_an_answer_may_end_with_the_connection(tmp_path: Path) -> None:
    """As simple servers send it: no length, and a new connection for each request."""
    with serving(classified, says_length=False) as asked:
        record = record_of(tmp_path, asked, text(answer="/result/label"))
    assert record.quality is not None
    assert record.quality.value == 1.0


def found(asked: Asked, tmp_path: Path, *, example: bytes = b"hello", **keys: Any) -> Service:
    """The platform under test, with the first sample of a dataset."""
    service = ServiceSpec.model_validate({"platform": "endpoint", "url": asked.url, "endpoint": text(**keys)})
    sample = np.frombuffer(example, np.uint8)[np.newaxis]
    return EndpointPlatform().start(serve_request(tmp_path, tmp_path, service, allowed_endpoints=LOCAL, example=sample))


@pytest.mark.parametrize(
    ("said", "keys", "cause", "words"),
    [
        ((307, {"Location": "/"}, b""), {}, Cause.MODEL_LOAD_FAILED, "redirects are not followed"),
        ((404, {}, b"no such page"), {}, Cause.MODEL_LOAD_FAILED, "status 404: no such page"),
        ((422, {}, b"field missing"), {}, Cause.MODEL_LOAD_FAILED, "status 422: field missing"),
        ((500, {}, b"oops"), {}, Cause.SERVER_NOT_READY, "status 500: oops"),
        ((201, {}, b""), {}, Cause.SERVER_NOT_READY, "status 201"),
        ((200, JSON, b'{"a":1}'), {"answer": "/b"}, Cause.SERVER_NOT_READY, "no key 'b'; there are: a"),
        ((200, JSON, b"{"), {"answer": "/b"}, Cause.SERVER_NOT_READY, "the answer is not JSON"),
        ((200, {"Content-Type": "text/html"}, b"<p>"), {"answer": ""}, Cause.SERVER_NOT_READY, "text/html"),
    ],
)
def test_what_is_no_usable_answer_is_told(
    said: tuple[int, Mapping[str, str], bytes], keys: dict[str, Any], cause: Cause, words: str, tmp_path: Path
) -> None:
    """At once where it stays so; else after the time that the job leaves the service to get ready."""
    with serving(lambda _: said) as asked, pytest.raises(AttemptFailed, match=words) as caught:
        found(asked, tmp_path, **keys).wait_ready(SOON_NS)
    assert caught.value.cause is cause


def test_an_answer_that_trickles_is_given_up_at_the_deadline(tmp_path: Path) -> None:
    """A byte every 50 ms: no single wait is long, and no answer comes of it."""
    stopped = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def trickle() -> None:
            with suppress(OSError), listening.accept()[0] as connection:
                connection.sendall(b"HTTP/1.1 200 OK\r\nX: ")
                while not stopped.wait(0.05):
                    connection.sendall(b"x")

        thread = threading.Thread(target=trickle)
        thread.start()
        asked = Asked(classified, f"http://127.0.0.1:{listening.getsockname()[1]}")
        began = time.monotonic()
        with pytest.raises(AttemptFailed, match="no usable answer within"):
            found(asked, tmp_path).wait_ready(SOON_NS)
        took_s = time.monotonic() - began
        stopped.set()
        thread.join()
    assert took_s < 3


def test_a_first_sample_that_cannot_be_sent_ends_the_attempt(tmp_path: Path) -> None:
    """Nothing was sent."""
    with serving(classified) as asked, pytest.raises(AttemptFailed, match=r"service\.endpoint\.body.*utf-8") as caught:
        found(asked, tmp_path, example=b"\xff").wait_ready(SOON_NS)
    assert caught.value.cause is Cause.PIPELINE_FAILED
    assert asked.bodies == []


def test_text_where_scores_belong_fails_with_these_words(tmp_path: Path) -> None:
    """Known before any load."""
    ops = {"postprocess": [{"op": "top_k"}]}
    with (
        serving(classified) as asked,
        attempted(tmp_path, asked, text(answer="/result/label"), pipeline=ops) as attempt,
    ):
        failure = attempt.fail()
    assert failure.cause is Cause.NO_SUCCESSFUL_REQUEST
    assert "the output is text" in failure.detail
