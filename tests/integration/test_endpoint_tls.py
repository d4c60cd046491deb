"""Platform ``endpoint`` over https: whom it trusts, what it tells, and whom it tells the operator's secrets."""

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import grpc  # type: ignore[import-untyped]
import numpy as np
import pytest
from support import served_models
from support.asking import ask
from support.assignments import assignment, run_spec
from support.attempt_process import attempt_process
from support.engines import require_engine
from support.grpc_server import grpc_server
from support.http2_peer import prefixed
from support.serving import MODEL, READY_NS, ready, serve_request
from support.tls import Certificate, certificate, tls_door

from follower.load.ask import ask as ask_once
from follower.serve.endpoint.platform import EndpointPlatform
from follower.serve.platforms import PLATFORMS
from follower.serve.protocol import Service
from follower.serve.secure import SecretHeader, Tls
from shared.errors import AttemptFailed
from shared.jobs.formats import PlatformName
from shared.jobs.lifecycle import Cause
from shared.jobs.spec import ServiceSpec
from shared.measure.columns import NOT_AVAILABLE
from shared.measure.samples_file import read_samples

LOCAL = ("127.0.0.0/8", "localhost")
SOON_NS = 400_000_000
VALUE = "Bearer s3cr3t-t0ken"
ECHO = {"api": "template", "path": "/v1", "body": '{"x": {{sample}}}', "sample": "json", "shape": [2], "secret": "lab"}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """For this machine's own address, and for no name."""
    return certificate(tmp_path_factory.mktemp("certificate"), "IP:127.0.0.1")


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    """The operator's file: one secret for what runs here."""
    (tmp_path / "operator").mkdir()
    path = tmp_path / "operator" / "secrets.toml"
    path.write_text(f'[lab]\nvalue = "{VALUE}"\nhosts = ["127.0.0.1"]\n')
    path.chmod(0o600)
    return path


def found(url: str, tmp_path: Path, trusted: Path | None, *, secrets: Path | None = None, **service: Any) -> Service:
    """The platform under test, asked for what runs at ``url``."""
    spec = ServiceSpec.model_validate({"platform": "endpoint", "url": url, **service})
    request = serve_request(
        tmp_path,
        tmp_path / "ours",
        spec,
        allowed_endpoints=LOCAL,
        endpoint_ca_file=trusted,
        endpoint_secrets_file=secrets,
    )
    return EndpointPlatform().start(request)


def trusting(made: Certificate, secrets: Path) -> dict[str, Any]:
    """What an attempt is ordered with on a follower whose operator trusts the certificate and has secrets."""
    return {"endpoint_hosts": LOCAL, "endpoint_ca_file": made.file, "endpoint_secrets_file": secrets}


@dataclass
class Asked:
    """What a web server was asked."""

    port: int = 0
    requests: list[tuple[str, str | None]] = field(default_factory=list)  # path, Authorization


Reply = tuple[int, Mapping[str, str], bytes]


@contextmanager
def web_server(reply: Callable[[str, str | None], Reply]) -> Iterator[Asked]:
    """Answers by path and Authorization, over connections that stay."""
    asked = Asked()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            said = self.headers["Authorization"]
            asked.requests.append((self.path, said))
            status, headers, body = reply(self.path, said)
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:
            self.do_GET()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - as its parent spells it
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    asked.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def guarded(_path: str, said: str | None) -> Reply:
    """Scores for whoever knows the secret."""
    if said != VALUE:
        return 401, {}, b"who are you?"
    return 200, {"Content-Type": "application/json"}, json.dumps({"scores": [0.25, 0.75]}).encode()


@pytest.mark.parametrize(("platform", "protocol"), [("onnxruntime", "http"), ("triton", "http"), ("triton", "grpc")])
def test_what_runs_behind_tls_is_described_and_asked(
    tmp_path: Path, made: Certificate, platform: PlatformName, protocol: str
) -> None:
    """With a private authority that the operator trusts; HTTP/2 is agreed on where gRPC is spoken."""
    if platform == "triton":
        require_engine("triton")
    model = served_models.affine(tmp_path / "model.onnx")
    wanted = ServiceSpec.model_validate({"platform": platform, "protocol": protocol})
    with ready(PLATFORMS[platform], serve_request(model, tmp_path / "theirs", wanted)) as theirs:
        inner = theirs.endpoint
        with tls_door((inner.host, inner.port), made) as door:
            service = found(f"https://127.0.0.1:{door.port}", tmp_path, made.file, protocol=protocol)
            service.wait_ready(READY_NS)
            assert {tensor.name for tensor in service.metadata().inputs} == {"x"}
            x = np.array([[1, 2, 3, 4]], np.float32)
            assert ask(service.endpoint, x=x)["y"].tolist() == (2 * x + 1).tolist()
            assert service.facts()["tls"] is True
    assert set(door.protocols) == ({"h2"} if protocol == "grpc" else {"http/1.1"})


def test_a_run_over_https_is_a_record_with_the_set_up_told_apart(tmp_path: Path, made: Certificate) -> None:
    """Kernel stamps would be of TLS's records: there are none, and a note says why."""
    model = served_models.affine(tmp_path / "model.onnx")
    with (
        ready(PLATFORMS["onnxruntime"], serve_request(model, tmp_path / "theirs")) as theirs,
        tls_door((theirs.endpoint.host, theirs.endpoint.port), made) as door,
    ):
        spec = run_spec(
            model={"name": MODEL},
            service={"platform": "endpoint", "url": f"https://127.0.0.1:{door.port}"},
            collect={"kernel_timestamps": True},
        )
        order: dict[str, Any] = {"endpoint_hosts": LOCAL, "endpoint_ca_file": made.file}
        with attempt_process(tmp_path, assignment(spec=spec), **order) as attempt:
            record = attempt.succeed().record
    assert record.errors == {}
    assert record.stages["inference"].n > 0
    assert record.wire_latency is None or record.wire_latency.n == 0
    assert any("the bytes on the wire are TLS's records" in note for note in record.notes)
    assert any("TLS: no request waited for the set-up of" in note for note in record.notes)
    columns = read_samples(attempt.directory.samples).columns
    assert set(columns["wire_ns"].tolist()) == {NOT_AVAILABLE}
    assert record.environment["in_force"]["service"]["tls"] is True


def test_who_is_not_trusted_is_said_at_once(tmp_path: Path, made: Certificate) -> None:
    """By the system's authorities alone, by another one, and under a name that the certificate does not have."""
    other = certificate(tmp_path / "other", "IP:127.0.0.1").file
    with (
        web_server(guarded) as asked,
        tls_door(("127.0.0.1", asked.port), made) as door,
    ):
        for host, trusted in (("127.0.0.1", None), ("127.0.0.1", other), ("localhost", made.file)):
            for protocol in ("http", "grpc"):
                began_s = time.monotonic()
                with pytest.raises(AttemptFailed, match=r"is not trusted: .*certificate verify failed") as caught:
                    found(f"https://{host}:{door.port}", tmp_path, trusted, protocol=protocol).wait_ready(READY_NS)
                assert caught.value.cause is Cause.SERVER_NOT_READY
                assert time.monotonic() - began_s < 10
    assert asked.requests == []


def test_authorities_that_cannot_be_read_are_the_operators_to_mend(tmp_path: Path) -> None:
    """With the setting."""
    (tmp_path / "empty.pem").write_text("")
    for file in (tmp_path / "none.pem", tmp_path / "empty.pem"):
        with pytest.raises(AttemptFailed, match="INFERBENCH_ENDPOINT_CA_FILE") as caught:
            found("https://127.0.0.1:9", tmp_path, file)
        assert caught.value.cause is Cause.FOLLOWER_ERROR


def test_tls_and_none_do_not_understand_each_other(tmp_path: Path, made: Certificate) -> None:
    """Neither way; the last answer is told."""
    with web_server(guarded) as asked, tls_door(("127.0.0.1", asked.port), made) as door:
        for url in (f"https://127.0.0.1:{asked.port}", f"http://127.0.0.1:{door.port}"):
            with pytest.raises(AttemptFailed, match="gave no usable answer") as caught:
                found(url, tmp_path, made.file).wait_ready(SOON_NS)
            assert caught.value.cause is Cause.SERVER_NOT_READY
        with (
            tls_door(("127.0.0.1", asked.port), made, alpn=["http/1.1"]) as old,
            pytest.raises(AttemptFailed, match="does not agree on h2"),
        ):
            found(f"https://127.0.0.1:{old.port}", tmp_path, made.file, protocol="grpc").wait_ready(SOON_NS)


def test_grpc_over_tls_as_grpcio_speaks_it(made: Certificate) -> None:
    """The reference implementation's own TLS, many calls, and the secret in each call's metadata."""
    seen: list[str] = []

    def echo(message: bytes, context: Any) -> bytes:
        seen.extend(value for key, value in context.invocation_metadata() if key == "authorization")
        return message

    credentials = grpc.ssl_server_credentials([(made.key.read_bytes(), made.file.read_bytes())])
    with grpc_server(echo, credentials=credentials) as plain:
        target = replace(
            plain,
            tls=Tls(server_name="127.0.0.1", ca_file=made.file),
            secret=SecretHeader(name="Authorization", value=VALUE),
        )
        for size in (0, 1, 100_000, 3_000_000):
            codec = ask_once(target, prefixed(b"m" * size), READY_NS)
            assert codec.body == b"m" * size
    assert seen == [VALUE] * 4


def test_a_run_with_a_secret_leaves_its_value_nowhere(tmp_path: Path, made: Certificate, secrets: Path) -> None:
    """It is in every request, and in no file, log, event or record of the attempt."""
    with web_server(guarded) as asked, tls_door(("127.0.0.1", asked.port), made) as door:
        spec = run_spec(
            model={"name": "spam"},
            service={"platform": "endpoint", "url": f"https://127.0.0.1:{door.port}", "endpoint": ECHO},
        )
        with attempt_process(tmp_path, assignment(spec=spec), **trusting(made, secrets)) as attempt:
            record = attempt.succeed().record
            story = [event.model_dump_json() for event in attempt.story]
    assert record.errors == {}
    assert len(asked.requests) > 10
    assert set(asked.requests) == {("/v1", VALUE)}
    assert "s3cr3t" not in record.model_dump_json() + "".join(story)
    for file in (path for path in attempt.directory.root.rglob("*") if path.is_file()):
        assert b"s3cr3t" not in file.read_bytes(), file


@pytest.mark.parametrize(
    "reply",
    [
        (403, {}, f"no {VALUE} here".encode()),
        (500, {}, b"the token s3cr3t-t0ken is old"),
        (200, {"Content-Type": "application/json"}, b'{"scores": "s3cr3t-t0ken"}'),
        (200, {"Content-Type": "text/plain", "X-Said": VALUE}, b"s3cr3t-t0ken"),
    ],
)
def test_a_service_that_repeats_the_secret_is_told_without_it(
    tmp_path: Path, made: Certificate, secrets: Path, reply: Reply
) -> None:
    """Whatever status it has, and also where what it says would have been an answer."""
    endpoint = {**ECHO, "sample": "text", "body": '{"text": "{{sample}}"}', "answer": "/scores/0", "shape": None}
    with web_server(lambda _path, _said: reply) as asked, tls_door(("127.0.0.1", asked.port), made) as door:
        spec = run_spec(
            model={"name": "spam"},
            service={
                "platform": "endpoint",
                "url": f"https://127.0.0.1:{door.port}",
                "endpoint": endpoint,
                "ready_timeout": "1s",
            },
            requests={"dataset": "short-messages"},
        )
        with attempt_process(tmp_path, assignment(spec=spec), **trusting(made, secrets)) as attempt:
            failure = attempt.fail()
    assert "s3cr3t" not in failure.model_dump_json() + attempt.log
    assert asked.requests[0][1] == VALUE


def test_an_answer_that_is_the_secret_is_no_answer(tmp_path: Path, made: Certificate, secrets: Path) -> None:
    """Else a job could read it back, as what the service says of a sample."""

    def read_back(_path: str, said: str | None) -> Reply:
        return 200, {"Content-Type": "application/json"}, json.dumps({"said": said}).encode()

    endpoint = {**ECHO, "sample": "text", "body": '{"text": "{{sample}}"}', "answer": "/said", "shape": None}
    with web_server(read_back) as asked, tls_door(("127.0.0.1", asked.port), made) as door:
        spec = run_spec(
            model={"name": "spam"},
            service={"platform": "endpoint", "url": f"https://127.0.0.1:{door.port}", "endpoint": endpoint},
            requests={"dataset": "short-messages"},
        )
        with attempt_process(tmp_path, assignment(spec=spec), **trusting(made, secrets)) as attempt:
            failure = attempt.fail()
    assert failure.cause is Cause.NO_SUCCESSFUL_REQUEST
    assert "repeats the secret" in failure.detail
    assert "s3cr3t" not in failure.model_dump_json() + attempt.log


def test_a_redirect_takes_the_secret_nowhere(tmp_path: Path, made: Certificate, secrets: Path) -> None:
    """It is refused, as without one."""
    with (
        web_server(guarded) as elsewhere,
        tls_door(("127.0.0.1", elsewhere.port), made) as other_door,
        web_server(lambda _path, _said: (307, {"Location": f"https://127.0.0.1:{other_door.port}/v1"}, b"")) as asked,
        tls_door(("127.0.0.1", asked.port), made) as door,
        pytest.raises(AttemptFailed, match="redirects are not followed"),
    ):
        found(f"https://127.0.0.1:{door.port}", tmp_path, made.file, secrets=secrets, endpoint=ECHO).wait_ready(
            READY_NS
        )
    assert asked.requests == [("/v1", VALUE)]
    assert elsewhere.requests == []


def test_a_secret_is_not_for_a_host_of_the_jobs_choosing(tmp_path: Path, made: Certificate, secrets: Path) -> None:
    """Though the follower may load that host; nothing is sent, and nothing is asked."""
    with web_server(guarded) as asked, tls_door(("127.0.0.1", asked.port), made) as door:
        for url, endpoint, told in (
            (f"https://localhost:{door.port}", ECHO, "lab is for 127.0.0.1, and not for localhost"),
            (f"https://127.0.0.1:{door.port}", {**ECHO, "secret": "other"}, "no secret other; it has lab"),
        ):
            with pytest.raises(AttemptFailed, match=told) as caught:
                found(url, tmp_path, made.file, secrets=secrets, endpoint=endpoint)
            assert caught.value.cause is Cause.SERVER_NOT_READY
    assert asked.requests == []


def test_a_service_that_asks_who_we_are_is_said_so(tmp_path: Path, made: Certificate) -> None:
    """With the key that names a secret."""
    endpoint = {key: value for key, value in ECHO.items() if key != "secret"}
    with (
        web_server(guarded) as asked,
        tls_door(("127.0.0.1", asked.port), made) as door,
        pytest.raises(AttemptFailed, match=r"name it in service\.endpoint\.secret"),
    ):
        found(f"https://127.0.0.1:{door.port}", tmp_path, made.file, endpoint=endpoint).wait_ready(READY_NS)


def test_a_header_that_the_operators_secret_is_cannot_be_the_jobs(tmp_path: Path, made: Certificate) -> None:
    """One name, one value."""
    path = tmp_path / "more.toml"
    path.write_text(f'[lab]\nheader = "X-Team"\nvalue = "{VALUE}"\nhosts = ["127.0.0.1"]\n')
    path.chmod(0o600)
    endpoint = {**ECHO, "headers": {"x-team": "vision"}}
    with pytest.raises(AttemptFailed, match="is the header X-Team, which the job sets itself"):
        found("https://127.0.0.1:9", tmp_path, made.file, secrets=path, endpoint=endpoint)
