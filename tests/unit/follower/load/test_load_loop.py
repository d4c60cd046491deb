"""The loop against a scripted server: what it sends again, how each exchange can end, and which clock matters."""

import socket
import struct
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from support.loop_rig import OK, REQUEST, ReadyWork, run_loop, scripted_server
from support.samples import MS, closed_plan, open_plan

from follower.load import pool as pool_module
from follower.load.codec import Codec, ResponseReset
from follower.load.loop import MOST_SENT_AGAIN
from follower.load.protocol import Target
from follower.load.response import ResponseReader
from follower.pipeline.protocol import PipelineFailed
from shared.measure.columns import ERROR_KINDS, NOT_AVAILABLE, Columns
from shared.workload.plan import Plan

NOT_LOOKED_AT = b"HTTP/1.1 421 Go Away\r\nContent-Length: 0\r\n\r\n"
BROKEN_OFF = b"HTTP/1.1 499 Reset\r\nContent-Length: 0\r\n\r\n"
GO_ON = b"HTTP/1.1 100 Continue\r\n\r\n"


class ScriptedCodec(ResponseReader):
    """HTTP/1.1 with the ways of HTTP/2: 421 means not looked at, 499 broken off, the end of a request waits for 100."""

    def __init__(self, *, held_back: int = 0) -> None:
        super().__init__(keep_body=False)
        self._held_back = held_back
        self._rest = b""
        self._said = b""

    def start(self, request: bytes | bytearray) -> bytes | bytearray:
        self.is_unprocessed = False
        cut = len(request) - self._held_back
        self._rest = bytes(request[cut:])
        return super().start(request[:cut])

    @property
    def is_sent(self) -> bool:  # type: ignore[override]
        return not self._rest

    def outgoing(self) -> bytes:
        said, self._said = self._said, b""
        return said

    def feed(self, data: memoryview) -> bool:
        if self._rest and bytes(data) == GO_ON:
            self._said, self._rest = self._rest, b""
            return False
        complete = super().feed(data)
        if self.status == 421:
            self.is_unprocessed, self.keep_alive, self.status = True, False, 0
        if self.status == 499:
            raise ResponseReset("broken off")
        return complete


class ScriptedDialect:
    """Makes scripted codecs."""

    def __init__(self, held_back: int = 0) -> None:
        self._held_back = held_back

    def codec(self, target: Target, *, keep_body: bool) -> Codec:  # noqa: ARG002 - nothing to know
        return ScriptedCodec(held_back=self._held_back)


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pool speaks with scripted codecs."""
    dialects: Mapping[str, Any] = {"openinference-http": ScriptedDialect()}
    monkeypatch.setattr(pool_module, "DIALECTS", dialects)


def kinds(columns: Columns) -> list[str]:
    """Each row's error kind."""
    return [ERROR_KINDS[error] for error in columns["error"].tolist()]


def one_request(*, duration_ms: float = 300) -> Plan:
    """A plan of one request, due at 0."""
    return open_plan([0], warmup_ms=0, duration_ms=duration_ms)


@pytest.mark.usefixtures("scripted")
def test_a_request_that_was_not_looked_at_goes_out_again_on_another_connection() -> None:
    """Twice refused, then answered: one row, with the time of its first send and the length of all three tries."""
    connections = []

    def answer(number: int, connection: socket.socket) -> bytes:
        connections.append(connection.getpeername())
        if number <= 2:
            time.sleep(0.02)
            return NOT_LOOKED_AT
        return OK

    with scripted_server(answer) as target:
        columns = run_loop(one_request(), target)
    assert kinds(columns) == ["ok"]
    assert len(set(connections)) == 3
    assert columns["due_ns"].tolist() == [0]
    assert columns["send_start_ns"][0] - columns["start_ns"][0] < 20 * MS
    assert columns["send_end_ns"][0] - columns["send_start_ns"][0] >= 40 * MS
    assert columns["bytes_sent"].tolist() == [len(REQUEST)]
    assert columns["status"].tolist() == [200]


@pytest.mark.usefixtures("scripted")
def test_a_request_is_sent_again_three_times_at_most() -> None:
    """A server that never looks gets four tries; the request then counts as reset."""
    seen = []

    def answer(number: int, connection: socket.socket) -> bytes:  # noqa: ARG001 - all the same
        seen.append(number)
        return NOT_LOOKED_AT

    with scripted_server(answer) as target:
        columns = run_loop(one_request(), target)
    assert kinds(columns) == ["reset"]
    assert len(seen) == 1 + MOST_SENT_AGAIN
    assert columns["status"].tolist() == [0]


@pytest.mark.usefixtures("scripted")
def test_an_exchange_that_the_peer_breaks_off_is_a_reset_and_is_not_sent_again() -> None:
    """Nobody knows what the server did with it."""
    with scripted_server(lambda number, _: BROKEN_OFF if number == 1 else OK) as target:
        columns = run_loop(open_plan([0, 50], warmup_ms=0, duration_ms=200), target)
    assert kinds(columns) == ["reset", "ok"]


def test_the_rest_of_a_request_that_flow_control_held_back_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """The send ends with its last byte, 30 ms after the first part."""
    monkeypatch.setattr(pool_module, "DIALECTS", {"openinference-http": ScriptedDialect(held_back=4)})

    def answer(_: int, connection: socket.socket) -> bytes:
        time.sleep(0.03)
        connection.sendall(GO_ON)
        assert connection.recv(100) == REQUEST[-4:]
        return OK

    with scripted_server(answer, request_bytes=len(REQUEST) - 4) as target:
        columns = run_loop(one_request(), target)
    assert kinds(columns) == ["ok"]
    assert columns["send_end_ns"][0] - columns["send_start_ns"][0] >= 30 * MS
    assert columns["bytes_sent"].tolist() == [len(REQUEST)]


def test_a_request_larger_than_the_sockets_buffers_is_written_as_it_drains() -> None:
    """64 MB to a reader that starts late: all of it arrives, and the send ends with its last byte."""
    size = 64 << 20
    head = b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n"
    request = (head % size) + bytes(size)
    with scripted_server(lambda *_: OK, request_bytes=len(request)) as target:
        columns = run_loop(one_request(duration_ms=2_000), target, work=ReadyWork([request]), timeout_ms=20_000)
    assert kinds(columns) == ["ok"]
    assert columns["bytes_sent"].tolist() == [len(request)]
    assert columns["send_end_ns"][0] > columns["send_start_ns"][0] + MS


def test_a_connection_that_closes_while_idle_is_replaced() -> None:
    """The server hangs up after each answer without saying so; the next request finds a connection all the same."""

    def answer(_: int, connection: socket.socket) -> bytes:
        connection.sendall(OK)
        return b""

    with scripted_server(answer) as target:
        columns = run_loop(open_plan([0, 40, 80, 120], warmup_ms=0, duration_ms=200), target)
    assert kinds(columns) == ["ok"] * 4


def test_an_answer_before_the_end_of_the_request_costs_the_connection_and_nothing_else() -> None:
    """A server that does not want the rest says so early; the next request goes on another connection."""
    request = REQUEST.replace(b"Content-Length: 4", b"Content-Length: %d" % (64 << 20)) + bytes(64 << 20)

    def answer(_: int, connection: socket.socket) -> bytes:
        connection.sendall(OK)
        time.sleep(0.05)
        return b""

    with scripted_server(answer) as target:
        columns = run_loop(open_plan([0, 20], warmup_ms=0, duration_ms=200), target, work=ReadyWork([request]))
    assert columns["status"][columns["error"] == 0].tolist() in ([200], [200, 200])
    assert set(kinds(columns)) <= {"ok", "reset"}
    assert len(kinds(columns)) == 2


def test_nobody_listens() -> None:
    """Refused at once, each request ends as a connect error when it was due, and the run as planned."""
    with scripted_server(lambda *_: OK) as target:
        pass
    columns = run_loop(open_plan([0, 10, 20], warmup_ms=0, duration_ms=60), target)
    assert kinds(columns) == ["connect"] * 3
    assert columns["first_byte_ns"].tolist() == [NOT_AVAILABLE] * 3


def test_time_limits_are_kept_one_by_one() -> None:
    """No answer to any: each is given up after its own limit, and not much later."""
    with scripted_server(silence) as target:
        columns = run_loop(open_plan([0, 30, 60, 90], warmup_ms=0, duration_ms=100), target, timeout_ms=100)
    assert kinds(columns) == ["timeout"] * 4
    waited_ns = columns["done_ns"] - columns["start_ns"]
    assert (waited_ns >= 100 * MS).all()
    assert np.median(waited_ns) < 150 * MS


def silence(_number: int, _connection: socket.socket) -> bytes:
    """No answer for longer than any limit here."""
    time.sleep(1)
    return b""


class SlowWork(ReadyWork):
    """A pipeline that takes 20 ms for each request and cannot do the second."""

    takes_time = True

    def __init__(self) -> None:
        super().__init__()
        self._taken = 0

    def request(self, payload: int) -> bytes:
        self._taken += 1
        time.sleep(0.02)
        if self._taken == 2:
            raise PipelineFailed("no")
        return super().request(payload)


def test_work_before_the_send_is_stamped_apart_and_its_failure_has_a_row() -> None:
    """Start, 20 ms of work, send."""
    with scripted_server(lambda *_: OK) as target:
        columns = run_loop(open_plan([0, 5, 10], warmup_ms=0, duration_ms=300), target, work=SlowWork())
    assert kinds(columns) == ["ok", "pipeline", "ok"]
    assert columns["send_start_ns"][1] == NOT_AVAILABLE
    assert (columns["send_start_ns"] - columns["start_ns"])[[0, 2]].min() >= 20 * MS


def test_the_end_comes_with_the_window_where_nothing_is_in_flight() -> None:
    """And with the last time limit where something is: the rest of the plan is then written as not sent."""
    with scripted_server(lambda *_: OK) as target:
        columns = run_loop(open_plan([0], warmup_ms=0, duration_ms=50), target)
        assert columns["done_ns"][0] < 50 * MS
    capped = replace(open_plan([0, 1, 2], warmup_ms=0, duration_ms=20), max_in_flight=1)
    with scripted_server(silence) as target:
        columns = run_loop(capped, target, timeout_ms=30)
    assert kinds(columns) == ["timeout", "timeout", "not-sent"] or kinds(columns) == ["timeout", "not-sent", "not-sent"]
    assert columns["start_ns"][-1] == NOT_AVAILABLE


@pytest.mark.parametrize("step_s", [-3600.0, 3600.0])
def test_a_stepped_wall_clock_changes_nothing(monkeypatch: pytest.MonkeyPatch, step_s: float) -> None:
    """The clock jumps by an hour at each reading: the plan is kept to the microsecond that it would be kept anyway."""
    readings = [0]

    def stepping() -> float:
        readings[0] += 1
        return 1_700_000_000.0 + step_s * readings[0]

    plan = open_plan([5.0 * i for i in range(40)], warmup_ms=0, duration_ms=250)
    with scripted_server(lambda *_: OK) as target:
        usual = run_loop(plan, target)
        monkeypatch.setattr(time, "time", stepping)
        monkeypatch.setattr(time, "time_ns", lambda: round(stepping() * 1e9))
        stepped = run_loop(plan, target)
    assert kinds(usual) == kinds(stepped) == ["ok"] * 40
    assert usual["due_ns"].tolist() == stepped["due_ns"].tolist() == plan.due_ns.tolist()
    assert np.median(stepped["start_ns"] - stepped["due_ns"]) < 5 * MS
    assert (stepped["done_ns"] - stepped["due_ns"] < 1_000 * MS).all()
    assert readings == [0]


def test_a_closed_loop_is_due_when_its_last_answer_is_written_down() -> None:
    """One slot: each request is due after the last one's end and taken up in the same moment."""
    with scripted_server(lambda *_: OK) as target:
        columns = run_loop(closed_plan(1, warmup_ms=0, duration_ms=100), target)
    assert set(kinds(columns)) == {"ok"}
    assert len(columns["due_ns"]) > 10
    assert (columns["due_ns"][1:] >= columns["done_ns"][:-1]).all()
    assert np.median(columns["start_ns"] - columns["due_ns"]) < 2_000


def test_a_reset_in_mid_answer_is_a_reset() -> None:
    """Half an answer, then RST."""

    def answer(_: int, connection: socket.socket) -> bytes:
        connection.sendall(OK[:10])
        time.sleep(0.01)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return b""

    with scripted_server(answer) as target:
        columns = run_loop(one_request(), target)
    assert kinds(columns) == ["reset"]
    assert columns["bytes_received"].tolist() == [10]
