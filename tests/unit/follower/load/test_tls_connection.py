"""Encrypted connections in the sender's loop: the same answers, the hand-shake apart, every failure an error kind."""

import resource
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.loop_rig import OK, REQUEST, ReadyWork, run_loop, scripted_server
from support.samples import MS, closed_plan, open_plan
from support.tls import Certificate, certificate, tls_door

from follower.load.kernel_stamps import Stamping
from follower.load.protocol import Target
from follower.load.tls_connection import TlsConnector, connect_of
from follower.serve.secure import Tls
from shared.measure.columns import ERROR_KINDS, NOT_AVAILABLE, Columns
from shared.measure.latency import response_ns, service_ns
from shared.measure.stages import stage_times

CONNECT = ERROR_KINDS.index("connect")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """For the address that doors here have."""
    return certificate(tmp_path_factory.mktemp("certificate"), "IP:127.0.0.1")


def behind(target: Target, port: int, trusted: Path) -> Target:
    """The same requests, to the door before their server."""
    return replace(target, port=port, tls=Tls(server_name=target.host, ca_file=trusted))


def connector(target: Target) -> TlsConnector:
    """What a sender makes its connections with."""
    assert target.tls is not None
    return TlsConnector(target, target.tls)


def run(plan: object, target: Target, **more: object) -> tuple[dict[str, np.ndarray], TlsConnector]:
    """The columns, and who made the connections."""
    connect = connector(target)
    return run_loop(plan, target, connect=connect, **more), connect  # type: ignore[arg-type]


def kinds(columns: Columns) -> set[str]:
    """The error kinds that there are."""
    return {ERROR_KINDS[error] for error in columns["error"]}


def test_requests_are_answered_over_connections_that_stay(made: Certificate) -> None:
    """As in the clear: byte counts are those of the requests and answers, and not of TLS's records."""
    with scripted_server(lambda _number, _connection: OK) as plain, tls_door(("127.0.0.1", plain.port), made) as door:
        plan = closed_plan(concurrency=2, warmup_ms=0, duration_ms=300)
        columns, connect = run(plan, behind(plain, door.port, made.file), open_ahead=2)
    answered = columns["error"] == 0
    assert answered.sum() > 20
    assert kinds(columns) <= {"ok", "timeout"}
    assert set(columns["bytes_sent"][answered].tolist()) == {len(REQUEST)}
    assert set(columns["bytes_received"][answered].tolist()) == {len(OK)}
    assert door.handshakes == 2
    assert set(door.protocols) == {"http/1.1"}
    assert set(columns["setup_ns"].tolist()) == {NOT_AVAILABLE}
    assert set(columns["wire_ns"].tolist()) == {NOT_AVAILABLE}
    assert connect.note.startswith("TLS: no request waited for the set-up of 2 connection(s) (median ")
    assert "one did for that of no connection" in connect.note


def test_a_handshake_that_a_request_waits_for_is_told_apart(made: Certificate) -> None:
    """It is a part of what the user waits for, of no service latency, and of no work of ours."""
    with (
        scripted_server(lambda _number, _connection: OK) as plain,
        tls_door(("127.0.0.1", plain.port), made, delay_s=0.2) as door,
    ):
        plan = open_plan([0.0, 400.0], warmup_ms=0, duration_ms=600)
        columns, connect = run(plan, behind(plain, door.port, made.file), open_ahead=0)
    assert kinds(columns) == {"ok"}
    first, second = columns["setup_ns"].tolist()
    assert first >= 200 * MS
    assert second == NOT_AVAILABLE
    assert response_ns(columns)[0] >= 200 * MS
    assert service_ns(columns)[0] < 100 * MS
    stages = stage_times(columns).durations_ns
    assert sum(stage[0] for stage in stages.values()) == response_ns(columns)[0]
    assert stages["preprocess"][0] < 50 * MS
    assert stages["unattributed"][0] >= 200 * MS
    assert "one did for that of 1 connection(s)" in connect.note


@pytest.mark.parametrize("size", [1, 16_384, 16_385, 3_000_000])
def test_answers_and_requests_of_any_size_pass_whole(made: Certificate, size: int) -> None:
    """Many records, in one receipt or in several, also where the socket takes a request in pieces."""
    request = b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % size + b"q" * size
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + b"a" * size
    with (
        scripted_server(lambda _number, _connection: answer, request_bytes=len(request)) as plain,
        tls_door(("127.0.0.1", plain.port), made) as door,
    ):
        plan = open_plan([0.0, 10.0, 20.0], warmup_ms=0, duration_ms=500)
        columns, _ = run(plan, behind(plain, door.port, made.file), work=ReadyWork((request,)), timeout_ms=10_000)
    assert kinds(columns) == {"ok"}
    assert set(columns["bytes_received"].tolist()) == {len(answer)}
    assert set(columns["bytes_sent"].tolist()) == {len(request)}


def test_an_answer_that_ends_with_its_connection_and_is_cut_off_is_no_success(made: Certificate) -> None:
    """TLS says goodbye; whoever cuts the connection off cannot make a shorter answer whole."""
    answer = b"HTTP/1.1 200 OK\r\n\r\n" + b"a" * 100

    def say_and_close(_number: int, connection: socket.socket) -> bytes:
        connection.sendall(answer)
        return b""

    with scripted_server(say_and_close) as plain:
        leads_to = ("127.0.0.1", plain.port)
        plan = open_plan([0.0], warmup_ms=0, duration_ms=100)
        with tls_door(leads_to, made) as door:
            whole, _ = run(plan, behind(plain, door.port, made.file))
        with tls_door(leads_to, made, cut_after=60) as door:
            cut, _ = run(plan, behind(plain, door.port, made.file))
    assert kinds(whole) == {"ok"}
    assert kinds(cut) == {"reset"}


def test_a_certificate_that_is_not_trusted_is_a_connection_that_cannot_be_had(
    made: Certificate, tmp_path: Path
) -> None:
    """Nothing of the request is sent."""
    asked: list[int] = []

    def answer(number: int, _connection: socket.socket) -> bytes:
        asked.append(number)
        return OK

    other = certificate(tmp_path, "IP:127.0.0.1")
    with scripted_server(answer) as plain, tls_door(("127.0.0.1", plain.port), made) as door:
        plan = open_plan([0.0, 20.0], warmup_ms=0, duration_ms=200)
        columns, _ = run(plan, behind(plain, door.port, other.file))
        elsewhere = replace(plain, port=door.port, tls=Tls(server_name="models.lab", ca_file=made.file))
        misnamed, _ = run(plan, elsewhere)
    assert kinds(columns) == kinds(misnamed) == {"connect"}
    assert set(columns["bytes_sent"].tolist()) == {0}
    assert asked == []


@contextmanager
def silent() -> Iterator[int]:
    """A server that takes connections and says nothing; its port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def test_a_server_that_never_shakes_hands_is_given_up_at_the_time_limit(made: Certificate) -> None:
    """And waiting for it takes no processor time: the loop sleeps."""
    with silent() as port:
        target = behind(Target(host="127.0.0.1", port=port, path="/"), port, made.file)
        before_s = sum(thread_times())
        columns, connect = run(open_plan([0.0], warmup_ms=0, duration_ms=100), target, timeout_ms=700, open_ahead=0)
        used_s = sum(thread_times()) - before_s
    assert kinds(columns) == {"timeout"}
    assert used_s < 0.3
    assert columns["send_end_ns"].tolist() == [NOT_AVAILABLE]
    assert "for the set-up of no connection" in connect.note


def thread_times() -> tuple[float, float]:
    """Processor time of this thread, in seconds."""
    used = resource.getrusage(resource.RUSAGE_THREAD)
    return used.ru_utime, used.ru_stime


def test_a_server_that_speaks_in_the_clear_is_a_connection_that_cannot_be_had(made: Certificate) -> None:
    """It answers the greeting with something else."""

    def refuse(_number: int, connection: socket.socket) -> bytes:
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
        return b""

    with scripted_server(refuse, request_bytes=100) as plain:
        columns, _ = run(open_plan([0.0], warmup_ms=0, duration_ms=100), behind(plain, plain.port, made.file))
    assert kinds(columns) == {"connect"}


def test_grpc_needs_a_server_that_agrees_on_h2(made: Certificate) -> None:
    """One that does not say so is refused before a call, as gRPC asks for."""
    with scripted_server(lambda _number, _connection: OK) as plain:
        target = replace(plain, dialect="openinference-grpc")
        for alpn in ((), ("http/1.1",)):
            with tls_door(("127.0.0.1", plain.port), made, alpn=alpn) as door:
                columns, _ = run(open_plan([0.0], warmup_ms=0, duration_ms=100), behind(target, door.port, made.file))
            assert columns["error"].tolist() == [CONNECT]


def test_stamping_stays_with_connections_in_the_clear() -> None:
    """Elsewhere the kernel would stamp records, and count other bytes."""
    stamped = Stamping(connect=TlsConnector, note="")  # type: ignore[arg-type]
    assert connect_of(Target(host="h", port=1, path="/"), stamped) is TlsConnector  # type: ignore[comparison-overlap]
    target = Target(host="h", port=1, path="/", tls=Tls(server_name="h"))
    assert isinstance(connect_of(target, stamped), TlsConnector)
