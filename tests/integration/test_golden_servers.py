"""The golden servers themselves, seen by plain sockets and by grpcio: nothing of the load generator is used here.

Times hold on a busy machine: lower bounds are exact, upper bounds allow 20 ms.
"""

import os
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from typing import Literal

import grpc  # type: ignore[import-untyped]
import pytest

from shared.testing.behaviour import Behaviour, Fault, every, fixed
from shared.testing.golden_server import GoldenServer, golden_server
from shared.testing.grpc_messages import METHOD, SERVICE, infer_message, infer_request
from shared.testing.journal import NEVER, served_ns

MS = 1_000_000
REQUEST = b"POST /v2/models/golden/infer HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc"
GRPC_REQUEST = infer_request("x", "FP32", (1, 2), bytes(8))


def connect(server: GoldenServer) -> socket.socket:
    """A connection that does not wait for ever."""
    return socket.create_connection((server.host, server.port), timeout=5)


def ask(connection: socket.socket) -> bytes:
    """One request and its answer, whole by its Content-Length; what came, where the stream ends before."""
    connection.sendall(REQUEST)
    return answer_on(connection)


def answer_on(connection: socket.socket) -> bytes:
    """The next answer."""
    answer = bytearray()
    while b"\r\n\r\n" not in answer[:1000] or len(answer) < _length(bytes(answer[:1000])):
        piece = connection.recv(1 << 20)
        if not piece:
            break
        answer += piece
    return bytes(answer)


def _length(answer: bytes) -> int:
    head, _, _ = answer.partition(b"\r\n\r\n")
    lengths = [line for line in head.split(b"\r\n") if line.startswith(b"Content-Length: ")]
    return len(head) + 4 + int(lengths[0].partition(b": ")[2])


@pytest.mark.parametrize("spin_us", [0.0, 150.0])
def test_an_answer_never_comes_early_and_the_journal_tells_how_late_it_was(spin_us: float) -> None:
    """A fixed 300 us: what the client sees is longer than what the journal says, and that is 300 us at least."""
    with golden_server(fixed(0.3, spin_us=spin_us)) as server, connect(server) as connection:
        seen_ns = []
        for _ in range(200):
            began_ns = time.monotonic_ns()
            assert ask(connection).startswith(b"HTTP/1.1 200 OK")
            seen_ns.append(time.monotonic_ns() - began_ns)
        served = served_ns(server.journal())
    assert len(served) == 200
    assert served.min() >= 300_000
    assert sorted(served)[100] < 20 * MS
    assert all(seen >= did for seen, did in zip(seen_ns, served, strict=True))


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_a_server_runs_where_it_is_put(protocol: Literal["http", "grpc"]) -> None:
    """On the core that it was given, and no other."""
    core = max(os.sched_getaffinity(0))
    with golden_server(protocol=protocol, cores=[core]) as server:
        assert os.sched_getaffinity(server.process.pid) == {core}


def test_a_server_that_never_sleeps_serves_as_any_other() -> None:
    """It polls with and without an answer that is due."""
    with golden_server(Behaviour(service_ms=2, never_sleeps=True)) as server, connect(server) as connection:
        assert all(ask(connection).startswith(b"HTTP/1.1 200 OK") for _ in range(20))
        assert served_ns(server.journal()).min() >= 2 * MS


@pytest.mark.parametrize(
    ("fault", "beginning"),
    [
        ("http-500", b"HTTP/1.1 500 "),
        ("malformed", b"SSH-2.0"),
        ("wrong-body", b"HTTP/1.1 200 OK"),
        ("trickle", b"HTT"),
    ],
)
def test_faults_that_say_something(fault: Fault, beginning: bytes) -> None:
    """Every second request gets the fault, and the journal says which."""
    with golden_server(Behaviour(faults=every(2, fault), trickle_ms=1)) as server:
        for n in range(1, 5):
            with connect(server) as connection:
                expected = beginning if n % 2 == 0 else b"HTTP/1.1 200 OK"
                connection.sendall(REQUEST)
                answer = connection.recv(1 << 16)
                assert answer.startswith(expected[: len(answer)])
        assert [done.fault for done in server.journal()] == ["", fault, "", fault]


def test_a_reset_is_a_reset() -> None:
    """Not an end of the stream."""
    with golden_server(Behaviour(faults=("reset",))) as server, connect(server) as connection:
        connection.sendall(REQUEST)
        with pytest.raises(ConnectionResetError):
            connection.recv(1)


def test_half_an_answer_and_the_end() -> None:
    """The stream ends before the announced length."""
    with golden_server(Behaviour(faults=("close-early",))) as server, connect(server) as connection:
        answer = ask(connection)
    assert answer.endswith(b"short")
    assert len(answer) < _length(answer)


def test_a_server_that_hangs_says_nothing_and_keeps_the_connection() -> None:
    """The second request is never answered, and the journal knows."""
    with golden_server(Behaviour(faults=("", "hang"))) as server, connect(server) as connection:
        assert ask(connection)
        connection.settimeout(0.2)
        with pytest.raises(TimeoutError):
            ask(connection)
        assert [done.answered_ns == NEVER for done in server.journal()] == [False, True]


def test_a_half_open_connection_swallows_what_is_sent_on_it() -> None:
    """After its answer the server is gone from this connection, and unharmed on every other."""
    with golden_server(Behaviour(faults=("half-open", ""))) as server:
        with connect(server) as dead, connect(server) as other:
            assert ask(dead).startswith(b"HTTP/1.1 200 OK")
            dead.settimeout(0.3)
            with pytest.raises(TimeoutError):
                ask(dead)
            assert ask(other).startswith(b"HTTP/1.1 200 OK")
        assert [done.connection for done in server.journal()] == [1, 2]


def test_a_large_answer_arrives_whole() -> None:
    """Larger than every socket buffer on the way; the server goes on while the client takes its time."""
    with golden_server(Behaviour(filler_bytes=20_000_000)) as server, connect(server) as slow, connect(server) as quick:
        slow.sendall(REQUEST)
        assert len(ask(quick)) > 20_000_000
        assert len(answer_on(slow)) > 20_000_000


def test_close_each_gives_every_request_a_connection_of_its_own() -> None:
    """Also where the answer is too large for one write."""
    with golden_server(Behaviour(close_each=True, filler_bytes=8_000_000)) as server:
        for _ in range(3):
            with connect(server) as connection:
                assert len(ask(connection)) > 8_000_000
                assert connection.recv(1) == b""
        assert [done.connection for done in server.journal()] == [1, 2, 3]


def test_a_server_ends_with_whoever_started_it() -> None:
    """Its input is a pipe from there: when that closes, it is gone."""
    with golden_server() as server:
        assert server.process.stdin is not None
        server.process.stdin.close()
        assert server.process.wait(timeout=10) == 0


# gRPC


@pytest.fixture
def calls() -> Iterator[list[grpc.Channel]]:
    """Channels that are closed at the end."""
    channels: list[grpc.Channel] = []
    yield channels
    for channel in channels:
        channel.close()


def method_of(server: GoldenServer, channels: list[grpc.Channel]) -> grpc.UnaryUnaryMultiCallable:
    """ModelInfer on a channel of its own, with bytes."""
    channel = grpc.insecure_channel(f"{server.host}:{server.port}")
    channels.append(channel)
    return channel.unary_unary(f"/{SERVICE}/{METHOD}")


def test_the_grpc_twin_answers_and_reports(calls: list[grpc.Channel]) -> None:
    """The same law, the same journal; what it did goes out as trailing metadata."""
    with golden_server(fixed(5), protocol="grpc") as server:
        answer, call = method_of(server, calls).with_call(GRPC_REQUEST)
        (done,) = server.journal()
    assert answer == infer_message(1, 0)
    reported = {item.key: int(item.value) for item in call.trailing_metadata()}
    assert reported["inferbench-batch-size"] == 1
    assert 5 * MS <= reported["inferbench-total-ns"] <= done.answered_ns - done.received_ns


def test_grpc_faults_come_in_their_order(calls: list[grpc.Channel]) -> None:
    """A status, a reset of the stream, a body that is none, and silence."""
    faults: tuple[Fault, ...] = ("http-500", "reset", "wrong-body", "hang", "")
    with golden_server(Behaviour(faults=faults), protocol="grpc") as server:
        method = method_of(server, calls)
        seen: list[object] = []
        for _ in faults:
            try:
                seen.append(method(GRPC_REQUEST, timeout=2)[:1])
            except grpc.RpcError as error:
                seen.append(error.code())
        assert Counter(done.fault for done in server.journal()) == Counter(faults)
    codes = grpc.StatusCode
    assert seen == [codes.INTERNAL, codes.CANCELLED, b"x", codes.DEADLINE_EXCEEDED, infer_message(1, 0)[:1]]


def test_a_fault_that_grpc_does_not_know_is_refused() -> None:
    """Rather than left out in silence."""
    command = ["-P", "-m", "shared.testing.grpc_server", '{"faults": ["half-open"]}', ""]
    ran = subprocess.run([sys.executable, *command], capture_output=True, text=True, check=False)
    assert ran.returncode == 1
    assert "no gRPC server fails like this: half-open" in ran.stderr
