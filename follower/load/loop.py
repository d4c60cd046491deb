"""The sender's loop: take up what is due, stamp what arrives, give up what takes too long. It analyses nothing.

Every turn waits for whichever comes first (an answer, a due time, a time limit), stamps all that has arrived, and
only then does work that takes time, a piece per turn, so that one request's work delays no other one's stamps.
"""

import time
from collections import deque
from typing import Final

from follower.load.connection import Connection, Exchange
from follower.load.encode import MalformedAnswer
from follower.load.in_flight import InFlight
from follower.load.pacing import NEVER, Pacing
from follower.load.pool import Pool
from follower.load.response import MalformedResponse, ResponseReader
from follower.load.samples import SampleTable
from follower.load.waiter import Waiter
from follower.load.work import Work
from follower.pipeline.protocol import PipelineFailed
from shared.measure.columns import ERROR_KINDS, NOT_AVAILABLE
from shared.workload.plan import Plan

OK: Final = ERROR_KINDS.index("ok")
CONNECT: Final = ERROR_KINDS.index("connect")
RESET: Final = ERROR_KINDS.index("reset")
TIMEOUT: Final = ERROR_KINDS.index("timeout")
HTTP_STATUS: Final = ERROR_KINDS.index("http-status")
MALFORMED: Final = ERROR_KINDS.index("malformed")
PIPELINE: Final = ERROR_KINDS.index("pipeline")
NOT_SENT: Final = ERROR_KINDS.index("not-sent")

_READ_BUFFER_BYTES: Final = 1 << 20
_QUICK_PIECES: Final = 32  # requests taken up or finished between two looks at the sockets where each is quick
_WORKER: Final = 0  # one sender process for now

_REPORTED: Final = (
    b"inferbench-queue-ns",
    b"inferbench-inference-ns",
    b"inferbench-total-ns",
    b"inferbench-batch-size",
)


class LoadLoop:
    """Runs one plan against one target and leaves a full table: a row for every request of the plan."""

    def __init__(
        self,
        *,
        plan: Plan,
        origin_ns: int,
        request_timeout_ns: int,
        pacing: Pacing,
        work: Work,
        pool: Pool,
        waiter: Waiter,
        table: SampleTable,
    ) -> None:
        self.in_flight = InFlight(origin_ns + plan.warmup_ns, origin_ns + plan.end_ns)
        self._pacing = pacing
        self._work = work
        self._pool = pool
        self._waiter = waiter
        self._table = table
        self._payloads = plan.payload.tolist()
        self._timeout_ns = request_timeout_ns
        self._end_ns = origin_ns + plan.end_ns
        self._stop_ns = self._end_ns + request_timeout_ns
        self._pieces = 1 if work.takes_time else _QUICK_PIECES
        self._buffer = memoryview(bytearray(_READ_BUFFER_BYTES))
        self._rows = 0
        self._answered: deque[Connection] = deque()
        self._limits: deque[tuple[int, Exchange]] = deque()  # time limits, earliest first

    def run(self) -> int:
        """Returns the monotonic time of its end: the plan's, or when the last answer was in or given up."""
        while (now_ns := time.monotonic_ns()) < self._stop_ns:
            if now_ns >= self._end_ns and not self.in_flight.count and self._pacing.next_due_ns() == NEVER:
                break
            self._receive(self._wait())
            self._work_a_little()
            self._give_up_late()
        self._give_up_all()
        return now_ns

    def _wait(self) -> list[tuple[int, int]]:
        if self._answered:
            return self._waiter.poll()
        while self._limits and self._limits[0][1].ended:
            self._limits.popleft()
        latest_ns = self._limits[0][0] if self._limits else self._end_ns
        return self._waiter.wait(self._pacing.next_due_ns(), min(latest_ns, self._stop_ns))

    def _work_a_little(self) -> None:
        """Finishes and takes up by turns, so that neither waits for a long row of the other."""
        for _ in range(self._pieces):
            if self._answered:
                self._finish_next()
            now_ns = time.monotonic_ns()
            if self._pacing.next_due_ns() <= now_ns:
                self._take_up(self._pacing.take(), now_ns)
            elif not self._answered:
                return

    def _take_up(self, due_ns: int, now_ns: int) -> None:
        exchange = self._new_exchange(due_ns, now_ns)
        self.in_flight.enter(now_ns)
        self._limits.append((now_ns + self._timeout_ns, exchange))
        try:
            request = self._work.request(exchange.payload)
        except PipelineFailed:
            self._end(exchange, PIPELINE)
            return
        exchange.send_start_ns = time.monotonic_ns() if self._work.takes_time else now_ns
        self._send(exchange, request)

    def _new_exchange(self, due_ns: int, start_ns: int) -> Exchange:
        row = self._rows
        self._rows += 1
        return Exchange(row, self._payloads[row % len(self._payloads)], due_ns, start_ns)

    def _send(self, exchange: Exchange, request: bytes) -> None:
        try:
            connection = self._pool.take()
        except OSError:
            self._end(exchange, CONNECT)
            return
        try:
            connection.send(exchange, request)
        except OSError:
            self._lose(connection)
            return
        if connection.wants_write:
            self._pool.watch(connection)

    def _receive(self, events: list[tuple[int, int]]) -> None:
        for fd, _ in events:
            connection = self._pool.open.get(fd)
            if connection is not None:
                self._attend(connection)

    def _attend(self, connection: Connection) -> None:
        """Moves bytes both ways on a connection that epoll has named."""
        try:
            if connection.wants_write:
                connection.flush()
                self._pool.watch(connection)
            size = connection.receive(self._buffer)
        except OSError:
            self._lose(connection)
            return
        if size is not None:
            self._stamp(connection, size, time.monotonic_ns())

    def _stamp(self, connection: Connection, size: int, now_ns: int) -> None:
        """Bytes have come, or (``size`` 0) the end of the stream."""
        exchange = connection.exchange
        if exchange is None:  # an idle connection was closed, or spoke out of turn
            self._pool.drop(connection)
            return
        if exchange.last_byte_ns != NOT_AVAILABLE:  # answered, about to be finished: this is not part of the answer
            connection.reader.keep_alive = False
            return
        if size and exchange.first_byte_ns == NOT_AVAILABLE:
            exchange.first_byte_ns = now_ns
        exchange.bytes_received += size
        try:
            complete = connection.reader.feed(self._buffer[:size]) if size else connection.reader.feed_eof()
        except MalformedResponse:
            self._drop(connection, exchange, MALFORMED)
            return
        if complete:
            exchange.last_byte_ns = now_ns
            self._answered.append(connection)
        elif not size:
            self._lose(connection)

    def _finish_next(self) -> None:
        connection = self._answered.popleft()
        if connection.exchange is not None:  # not lost while it waited
            self._finish(connection, connection.exchange)

    def _finish(self, connection: Connection, exchange: Exchange) -> None:
        reader = connection.reader
        error = OK if 200 <= reader.status < 300 else HTTP_STATUS  # noqa: PLR2004 - the class of success
        if error == OK:
            try:
                self._work.finish(exchange.payload, reader)
            except MalformedAnswer:
                error = MALFORMED
            except PipelineFailed:
                error = PIPELINE
        if reader.keep_alive and not connection.wants_write:
            self._pool.give_back(connection)
        else:
            self._pool.drop(connection)
        self._end(exchange, error, reader)

    def _lose(self, connection: Connection) -> None:
        """The connection is gone: before its request was written, after, or between two requests."""
        exchange = connection.exchange
        if exchange is None:
            self._pool.drop(connection)
        elif exchange.last_byte_ns == NOT_AVAILABLE:
            self._drop(connection, exchange, CONNECT if exchange.send_end_ns == NOT_AVAILABLE else RESET)

    def _drop(self, connection: Connection, exchange: Exchange, error: int) -> None:
        self._pool.drop(connection)
        self._end(exchange, error)

    def _give_up_late(self) -> None:
        now_ns = time.monotonic_ns()
        while self._limits and self._limits[0][0] <= now_ns:
            self._give_up(self._limits.popleft()[1])

    def _give_up_all(self) -> None:
        """The end: what is in flight is given up, what was never taken up is written down as such."""
        while self._answered:
            self._finish_next()
        while self._limits:
            self._give_up(self._limits.popleft()[1])
        while self._pacing.next_due_ns() < self._stop_ns:
            exchange = self._new_exchange(self._pacing.take(), NOT_AVAILABLE)
            self._write(exchange, NOT_AVAILABLE, NOT_SENT, None)

    def _give_up(self, exchange: Exchange) -> None:
        """Drops a request that has no whole answer; one that only waits to be finished is left alone."""
        if not exchange.ended and exchange.last_byte_ns == NOT_AVAILABLE and exchange.connection is not None:
            self._drop(exchange.connection, exchange, TIMEOUT)

    def _end(self, exchange: Exchange, error: int, reader: ResponseReader | None = None) -> None:
        instant = error == OK and not self._work.takes_time
        done_ns = exchange.last_byte_ns if instant else time.monotonic_ns()
        exchange.ended = True
        self.in_flight.leave(done_ns)
        self._pacing.freed(done_ns, rest=error in {CONNECT, RESET})
        self._write(exchange, done_ns, error, reader)

    def _write(self, exchange: Exchange, done_ns: int, error: int, reader: ResponseReader | None) -> None:
        self._table.write(
            exchange.row,
            exchange.due_ns,
            exchange.start_ns,
            exchange.send_start_ns,
            exchange.send_end_ns,
            exchange.first_byte_ns,
            exchange.last_byte_ns,
            done_ns,
            reader.status if reader else 0,
            error,
            exchange.bytes_sent,
            exchange.bytes_received,
            _WORKER,
            exchange.payload,
            *(_reported(reader) if reader else _NOTHING_REPORTED),
        )


_NOTHING_REPORTED: Final = (NOT_AVAILABLE,) * len(_REPORTED)


def _reported(reader: ResponseReader) -> tuple[int, ...]:
    values = (reader.number(name) for name in _REPORTED)
    return tuple(NOT_AVAILABLE if value is None else value for value in values)
