"""The null server's process, asked by clients that are not ours: http.client, and grpcio."""

import http.client
import os
import socket
import time
from collections.abc import Callable
from pathlib import Path

import grpc  # type: ignore[import-untyped]
import numpy as np
import psutil
import pytest
from support.descendants import children_running

from follower.calibrate.exchange import script_of
from follower.calibrate.null_process import CalibrationFailed, null_server
from follower.calibrate.replies import Script, with_prefix
from follower.load.dialects import DIALECTS
from follower.load.encode import InputTensor
from follower.load.protocol import Target
from shared.testing.behaviour import Behaviour
from shared.testing.golden_server import golden_server

BODY = b"r" * 300_000
ANSWER = b"HTTP/1.1 200 OK\r\nX-Kept: yes\r\nContent-Length: 300000\r\n\r\n" + BODY


def script(**fields: object) -> Script:
    """An HTTP answer larger than a socket takes at once."""
    return Script(**{"protocol": "http", "request_bytes": 9, "response": ANSWER, **fields})  # type: ignore[arg-type]


def test_an_http_client_gets_the_scripted_answer_again_and_again(tmp_path: Path) -> None:
    """Over one connection, to the last byte."""
    with null_server(script(), [], tmp_path) as server:
        client = http.client.HTTPConnection(server.host, server.port, timeout=10)
        for _ in range(3):
            client.request("POST", "/infer", body=b"x" * 50_000)
            answer = client.getresponse()
            assert (answer.status, answer.getheader("X-Kept"), answer.read()) == (200, "yes", BODY)
        client.close()


def test_an_answer_that_ends_with_its_connection_ends_it(tmp_path: Path) -> None:
    """As the real service did."""
    whole = b"HTTP/1.1 200 OK\r\n\r\nall of it"
    with (
        null_server(script(response=whole, closes=True), [], tmp_path) as server,
        socket.create_connection((server.host, server.port), timeout=10) as client,
    ):
        client.sendall(b"GET / HTTP/1.1\r\n\r\n")
        received = b""
        while piece := client.recv(1000):
            received += piece
    assert received == whole


@pytest.mark.parametrize("message", [b"", b"m" * 100, b"m" * 500_000], ids=["empty", "small", "of many frames"])
def test_a_grpc_client_gets_the_scripted_message_again_and_again(tmp_path: Path, message: bytes) -> None:
    """The reference implementation takes the twin for a server, with requests beyond the first window, too."""
    with (
        null_server(script(protocol="grpc", response=with_prefix(message)), [], tmp_path) as server,
        grpc.insecure_channel(f"{server.host}:{server.port}") as channel,
    ):
        call = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
        for size in (0, 10, 1_000_000):
            assert call(b"q" * size, timeout=20) == message


def test_the_server_runs_on_its_cores_and_ends_with_its_user(tmp_path: Path) -> None:
    """Nothing of it is left, in memory or on disk."""
    core = max(os.sched_getaffinity(0))
    with null_server(script(), [core], tmp_path) as server:
        (process,) = children_running(psutil.Process(), "follower.calibrate.null_server")
        assert os.sched_getaffinity(process.pid) == {core}
        server.check()
    assert not psutil.pid_exists(process.pid)
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_is_killed_is_named(tmp_path: Path) -> None:
    """As the end of the calibration, not of the run."""
    with null_server(script(), [], tmp_path) as server:
        (process,) = children_running(psutil.Process(), "follower.calibrate.null_server")
        process.kill()
        wait_until(lambda: not process.is_running() or process.status() == psutil.STATUS_ZOMBIE)
        with pytest.raises(CalibrationFailed, match="-9"):
            server.check()


def test_a_server_that_cannot_start_is_named(tmp_path: Path) -> None:
    """A core that the machine does not have."""
    with pytest.raises(CalibrationFailed, match="ended with 126"), null_server(script(), [100_000], tmp_path):
        pytest.fail("it cannot run there")


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_the_script_is_the_real_services_answer(tmp_path: Path, protocol: str) -> None:
    """A golden server's own answer, played back: the same client decodes the same outputs from both."""
    with golden_server(Behaviour(service_ms=1, filler_bytes=5_000), protocol=protocol) as golden:  # type: ignore[arg-type]
        target = _target(golden.host, golden.port, protocol)
        request = _request(target)
        found = script_of(target, request, 5_000_000_000)
        original = _outputs(target, request)
    assert found.request_bytes == len(request)
    assert len(found.response) > 5_000
    assert not found.closes
    with null_server(found, [], tmp_path) as null:
        assert _outputs(_target(null.host, null.port, protocol), request) == original


@pytest.mark.parametrize(
    ("behaviour", "why"),
    [(Behaviour(faults=("http-500",)), "500"), (Behaviour(faults=("reset",)), "did not answer")],
    ids=["an error", "a reset"],
)
def test_a_service_that_does_not_answer_gives_no_script(behaviour: Behaviour, why: str) -> None:
    """The reason is the service's."""
    with golden_server(behaviour) as golden:
        target = _target(golden.host, golden.port, "http")
        with pytest.raises(CalibrationFailed, match=why):
            script_of(target, _request(target), 5_000_000_000)


def _target(host: str, port: int, protocol: str) -> Target:
    path = "/inference.GRPCInferenceService/ModelInfer" if protocol == "grpc" else "/v2/models/golden/infer"
    return Target(host=host, port=port, path=path, dialect=f"openinference-{protocol}", model_name="golden")  # type: ignore[arg-type]


def _request(target: Target) -> bytes:
    tensor = InputTensor(name="x", datatype="FP32", array=np.zeros((1, 4), dtype=np.float32))
    return DIALECTS[target.dialect].encode(target, [tensor])


def _outputs(target: Target, request: bytes) -> dict[str, bytes]:
    """What the client's own dialect reads out of an answer."""
    dialect = DIALECTS[target.dialect]
    codec = dialect.codec(target, keep_body=True)
    with socket.create_connection((target.host, target.port), timeout=10) as connection:
        connection.sendall(codec.greeting() + codec.start(request))
        while not codec.feed(memoryview(connection.recv(100_000))):
            connection.sendall(codec.outgoing())
    return {name: array.tobytes() for name, array in dialect.decode(codec).items()}


def wait_until(holds: Callable[[], bool]) -> None:
    """At most some seconds."""
    deadline_s = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < deadline_s
        time.sleep(0.01)
