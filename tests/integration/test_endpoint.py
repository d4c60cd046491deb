"""Platform ``endpoint`` against servers that somebody else runs: ours, Triton, and some that are wrong."""

import json
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import served_models
from support.asking import ask
from support.assignments import assignment, run_spec
from support.attempt_process import attempt_process
from support.engines import require_engine
from support.serving import MODEL, READY_NS, is_open, ready, serve_request

from follower.serve.endpoint.platform import EndpointPlatform
from follower.serve.platforms import PLATFORMS
from follower.serve.protocol import Endpoint, Service
from shared.errors import AttemptFailed
from shared.jobs.formats import PlatformName
from shared.jobs.lifecycle import Cause
from shared.jobs.spec import ServiceSpec

SOON_NS = 400_000_000
LOCAL = ("127.0.0.0/8",)


@contextmanager
def served_by(platform: PlatformName, tmp_path: Path, protocol: Any = "http") -> Iterator[Endpoint]:
    """A server that runs already: y = 2x + 1 and z = row sums of x."""
    model = served_models.affine(tmp_path / "model.onnx")
    request = serve_request(model, tmp_path / "theirs", ServiceSpec(platform=platform, protocol=protocol))
    with ready(PLATFORMS[platform], request) as service:
        yield service.endpoint


def found(url: str, tmp_path: Path, *, allowed: tuple[str, ...] = LOCAL, protocol: Any = "http") -> Service:
    """The platform under test, asked for what runs at ``url``."""
    service = ServiceSpec(platform="endpoint", url=url, protocol=protocol)
    request = serve_request(tmp_path, tmp_path / "ours", service, allowed_endpoints=allowed)
    return EndpointPlatform().start(request)


def url_of(endpoint: Endpoint) -> str:
    """As a job file names it."""
    return f"http://{endpoint.host}:{endpoint.port}"


@contextmanager
def answering(status: int, headers: Mapping[str, str], body: bytes = b"") -> Iterator[tuple[str, list[str]]]:
    """A server with one answer to everything, and the Host headers and paths that it was asked with."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(f"{self.headers['Host']}{self.path}")
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - as its parent spells it
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.mark.parametrize(("platform", "protocol"), [("onnxruntime", "http"), ("triton", "http"), ("triton", "grpc")])
def test_what_runs_already_is_described_asked_and_left_running(
    tmp_path: Path, platform: PlatformName, protocol: str
) -> None:
    """The contract of a platform, as far as it can be kept with a server of somebody else."""
    if platform == "triton":
        require_engine("triton")
    with served_by(platform, tmp_path, protocol) as theirs:
        service = found(url_of(theirs), tmp_path, protocol=protocol)
        cold = service.wait_ready(READY_NS)
        model = service.metadata()
        assert {tensor.name: (tensor.datatype, tensor.shape) for tensor in model.inputs} == {"x": ("FP32", (-1, 4))}
        assert {tensor.name for tensor in model.outputs} == {"y", "z"}
        x = np.array([[1, 2, 3, 4]], np.float32)
        answer = ask(service.endpoint, x=x)
        assert answer["y"].tolist() == (2 * x + 1).tolist()
        assert answer["z"].tolist() == [10]
        assert service.pids() == ()
        assert service.statistics() is None
        assert service.facts()["engine"] == "endpoint"
        assert (cold.first_inference_ms or 0) > 0
        assert cold.model_loaded_ms is None
        service.stop()
        service.stop()
        assert is_open(theirs)
        service.check()


def test_an_endpoint_off_the_list_is_refused_before_it_is_looked_up(tmp_path: Path) -> None:
    """By name, with the list."""
    with pytest.raises(AttemptFailed) as caught:
        found("http://no-such-host.invalid:8000", tmp_path, allowed=("triton.lab",))
    assert caught.value.cause is Cause.SERVER_NOT_READY
    assert "not on this follower's allow-list, which names triton.lab" in caught.value.detail


def test_without_a_list_no_endpoint_is_allowed(tmp_path: Path) -> None:
    """The default."""
    with pytest.raises(AttemptFailed, match="which names nothing"):
        found("http://127.0.0.1:8000", tmp_path, allowed=())


def test_a_name_that_leads_to_a_clouds_metadata_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The list names a host, and not whatever its DNS says next."""
    answer = [(2, 1, 6, "", ("169.254.169.254", 80))]
    monkeypatch.setattr("socket.getaddrinfo", lambda *_, **__: answer)
    with pytest.raises(AttemptFailed, match=r"leads to 169\.254\.169\.254"):
        found("http://models.lab", tmp_path, allowed=("models.lab",))


def test_a_name_is_looked_up_once_and_named_in_requests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second answer of the DNS changes nothing."""
    lookup, answers = socket.getaddrinfo, iter(["127.0.0.1"])

    def answer(host: str, *rest: Any, **more: Any) -> Any:
        return lookup(next(answers) if host == "models.lab" else host, *rest, **more)

    monkeypatch.setattr("socket.getaddrinfo", answer)
    with answering(404, {}) as (url, asked):
        port = url.rpartition(":")[2]
        service = found(f"http://models.lab:{port}", tmp_path, allowed=("models.lab",))
        with pytest.raises(AttemptFailed, match=r"models\.lab"):
            service.wait_ready(READY_NS)
    assert (service.endpoint.host, service.endpoint.authority) == ("127.0.0.1", f"models.lab:{port}")
    assert asked == [f"models.lab:{port}/v2/models/{MODEL}"]


def test_a_redirect_is_not_followed_and_said(tmp_path: Path) -> None:
    """Whoever answers cannot send us elsewhere."""
    with (
        answering(200, {}, b"{}") as (elsewhere, asked_elsewhere),
        answering(307, {"Location": elsewhere}) as (url, asked),
        pytest.raises(AttemptFailed) as caught,
    ):
        found(url, tmp_path).wait_ready(READY_NS)
    assert caught.value.cause is Cause.MODEL_LOAD_FAILED
    assert "redirects are not followed" in caught.value.detail
    assert len(asked) == 1
    assert asked_elsewhere == []


def test_a_model_that_is_not_there_is_said_at_once(tmp_path: Path) -> None:
    """With the server's own words."""
    with (
        answering(404, {}, json.dumps({"error": "no model tiny"}).encode()) as (url, _),
        pytest.raises(AttemptFailed, match="no model tiny") as caught,
    ):
        found(url, tmp_path).wait_ready(READY_NS)
    assert caught.value.cause is Cause.MODEL_LOAD_FAILED


@pytest.mark.parametrize(("protocol", "says"), [("http", "metadata cannot be read"), ("grpc", "no usable answer")])
def test_an_endpoint_that_speaks_something_else_never_gets_ready(tmp_path: Path, protocol: str, says: str) -> None:
    """The last answer is told."""
    with answering(200, {}, b"<html>hello</html>") as (url, _), pytest.raises(AttemptFailed, match=says) as caught:
        found(url, tmp_path, protocol=protocol).wait_ready(SOON_NS)
    assert caught.value.cause is Cause.SERVER_NOT_READY


def test_nobody_at_the_address_is_no_answer_in_time(tmp_path: Path) -> None:
    """Asked again until the job's limit."""
    with pytest.raises(AttemptFailed, match="no usable answer within") as caught:
        found("http://127.0.0.1:9", tmp_path).wait_ready(SOON_NS)
    assert caught.value.cause is Cause.SERVER_NOT_READY


def test_a_run_against_an_endpoint_is_a_record_that_says_what_it_cannot_know(tmp_path: Path) -> None:
    """Latencies and stages are there; what the server used is not, and the notes say why."""
    with served_by("onnxruntime", tmp_path) as theirs:
        spec = run_spec(model={"name": MODEL}, service={"platform": "endpoint", "url": url_of(theirs)})
        with attempt_process(tmp_path, assignment(spec=spec), endpoint_hosts=LOCAL) as attempt:
            record = attempt.succeed().record
            assert is_open(theirs)
    assert record.errors == {}
    assert record.stages["inference"].n > 0
    assert record.server.cpu_mean_pct is None
    assert record.server.rss_max_bytes is None
    assert any("it runs no process of this follower" in note for note in record.notes)
    assert record.environment["in_force"]["service"]["engine"] == "endpoint"


def test_a_run_against_an_endpoint_off_the_list_fails_with_that_cause(tmp_path: Path) -> None:
    """Nothing was sent."""
    with answering(200, {}, b"{}") as (url, asked):
        spec = run_spec(model={"name": MODEL}, service={"platform": "endpoint", "url": url})
        with attempt_process(tmp_path, assignment(spec=spec)) as attempt:
            failure = attempt.fail()
    assert failure.cause is Cause.SERVER_NOT_READY
    assert "allow-list" in failure.detail
    assert asked == []
