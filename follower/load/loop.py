"""The sender's loop: take up what is due, stamp what arrives, give up what takes too long. It analyses nothing.

Every turn waits for whichever comes first (an answer, a due time, a time limit), stamps all that has arrived, and
only then does work that takes time, a piece per turn, so that one request's work delays no other one's stamps.
"""

import time
from collections import deque
from typing import Final

from follower.load.codec import Codec, MalformedResponse, ResponseReset
from follower.load.connection import Connection
from follower.load.encode import MalformedAnswer
from follower.load.exchange import Exchange
from follower.load.in_flight import InFlight
from follower.load.numbering import Numbering
from follower.load.pacing import NEVER, Pacing
from follower.load.pool import Pool
from follower.load.rows import RowWriter
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

MOST_SENT_AGAIN: Final = 3
"""How often a request that the server did not look at (GOAWAY, REFUSED_STREAM) goes out again."""

_READ_BUFFER_BYTES: Final = 1 << 20
_QUICK_PIECES: Final = 32  # requests taken up or finished between two looks at the sockets where each is quick


class LoadLoop:
    """Runs one plan against one target and leaves a row for every request of the plan."""

    def __init__(
        self,
        *,
        plan: Plan,
        request_timeout_ns: int,
        pacing: Pacing,
        work: Work,
        pool: Pool,
        waiter: Waiter,
        rows: RowWriter,
        numbering: Numbering | None = None,
    ) -> None:
        self.in_flight = InFlight()
        self._pacing = pacing
        self._work = work
        self._pool = pool
        self._waiter = waiter
        self._rows = rows
        self._numbering = numbering
        self._payloads = plan.payload.data
        self._rotation = len(plan.payload)
        self._plan = plan
        self._timeout_ns = request_timeout_ns
        self._end_ns = NEVER
        self._stop_ns = NEVER
        self._look_ns = NEVER  # when to look for requests past their time limit, and for the end
        self._pieces = 1 if work.takes_time else _QUICK_PIECES
        self._buffer = memoryview(bytearray(_READ_BUFFER_BYTES))
        self._taken = 0
        self._answered: deque[Connection] = deque()

    def run(self, origin_ns: int) -> int:
        """Runs the plan from the moment ``origin_ns`` of CLOCK_MONOTONIC.

        Returns the time of its end: the plan's, or when the last answer was in or given up.
        """
        self._begin(origin_ns)
        now_ns = time.monotonic_ns()
        while now_ns < self._stop_ns:
            if now_ns >= self._end_ns and not self.in_flight.count and self._pacing.next_due_ns() == NEVER:
                break
            if self._answered:
                events = self._waiter.poll()
            else:
                events = self._waiter.wait(self._pacing.next_due_ns(), self._look_ns, now_ns)
            self._receive(events)
            now_ns = self._work_a_little()
            if now_ns >= self._look_ns:
                self._give_up_late(now_ns)
        self._give_up_all()
        return now_ns

    def _begin(self, origin_ns: int) -> None:
        self._end_ns = origin_ns + self._plan.end_ns
        self._stop_ns = self._end_ns + self._timeout_ns
        self._look_ns = min(origin_ns + self._timeout_ns, self._end_ns)
        self.in_flight.count_from(origin_ns + self._plan.warmup_ns, self._end_ns)
        self._pacing.begin(origin_ns)

    def _receive(self, events: list[tuple[int, int]]) -> None:
        connections, buffer = self._pool.open, self._buffer
        for fd, _ in events:
            connection = connections.get(fd)
            if connection is None:  # the timer, or closed a moment ago
                continue
            try:
                if connection.wants_write:
                    connection.flush()
                    self._pool.watch(connection)
                size = connection.receive(buffer)
            except BlockingIOError:
                continue
            except OSError:
                self._lose(connection)
                continue
            self._stamp(connection, size, time.monotonic_ns())

    def _stamp(self, connection: Connection, size: int, now_ns: int) -> None:
        """Bytes have come, or (``size`` 0) the end of the stream."""
        exchange = connection.exchange
        if exchange is None or exchange.last_byte_ns != NOT_AVAILABLE:
            self._listen(connection, size)
            return
        codec = connection.codec
        if not size:
            complete = codec.feed_eof()
        else:
            if exchange.first_byte_ns == NOT_AVAILABLE:
                exchange.first_byte_ns = now_ns
            exchange.bytes_received += size
            try:
                complete = codec.feed(self._buffer[:size])
            except MalformedResponse as error:
                self._break_off(connection, exchange, RESET if isinstance(error, ResponseReset) else MALFORMED)
                return
        if complete:
            exchange.last_byte_ns = now_ns
            self._answered.append(connection)
        elif not size:
            self._lose(connection)
            return
        said = codec.outgoing()
        if said:
            self._say(connection, said)

    def _listen(self, connection: Connection, size: int) -> None:
        """Something between two exchanges: what the protocol says of itself, or the end of the connection."""
        try:
            if not size:
                raise ConnectionResetError
            connection.codec.feed(self._buffer[:size])
            said = connection.codec.outgoing()
            if said:
                connection.say(said)
                self._pool.watch(connection)
        except (MalformedResponse, OSError):
            self._spend(connection)
            return
        if not connection.codec.keep_alive:
            self._spend(connection)

    def _spend(self, connection: Connection) -> None:
        """It carries no other exchange; one that is answered and waits to be finished keeps its answer."""
        connection.is_spent = True
        if connection.exchange is None:
            self._pool.drop(connection)

    def _say(self, connection: Connection, said: bytes) -> None:
        try:
            connection.say(said)
            self._pool.watch(connection)
        except OSError:
            self._lose(connection)

    def _work_a_little(self) -> int:
        """Finishes and takes up by turns, so that neither waits for a long row of the other. Returns the time."""
        now_ns = time.monotonic_ns()
        for _ in range(self._pieces):
            if self._answered:
                now_ns = self._finish_next(now_ns)
            if self._pacing.next_due_ns() <= now_ns:
                self._take_up(self._pacing.take(), now_ns)
                now_ns = time.monotonic_ns()
            elif not self._answered:
                break
        return now_ns

    def _take_up(self, due_ns: int, now_ns: int) -> None:
        exchange = self._next_exchange(due_ns, now_ns)
        self.in_flight.enter(now_ns)
        try:
            exchange.request = self._work.request(exchange.payload)
        except PipelineFailed:
            self._end(exchange, PIPELINE)
            return
        if self._numbering is not None:
            self._numbering.write(exchange)
        self._send(exchange)

    def _next_exchange(self, due_ns: int, start_ns: int) -> Exchange:
        row = self._taken
        self._taken = row + 1
        return Exchange(row, self._payloads[row % self._rotation], due_ns, start_ns)

    def _send(self, exchange: Exchange) -> None:
        connection = self._pool.idle()
        if connection is None:
            if exchange.send_start_ns == NOT_AVAILABLE:
                exchange.send_start_ns = time.monotonic_ns()  # connecting is a part of sending
            try:
                connection = self._pool.connect()
            except OSError:
                self._end(exchange, CONNECT)
                return
        try:
            connection.carry(exchange)
        except OSError:
            self._lose(connection)
            return
        if connection.wants_write:
            self._pool.watch(connection)

    def _finish_next(self, now_ns: int) -> int:
        """Ends the exchange that has waited longest for it. Returns the time."""
        connection = self._answered.popleft()
        exchange = connection.exchange
        if exchange is None or exchange.last_byte_ns == NOT_AVAILABLE:  # lost while it waited
            return now_ns
        codec = connection.codec
        if codec.is_unprocessed:
            self._break_off(connection, exchange, RESET)
            return time.monotonic_ns()
        error = self._judge(exchange, codec)
        if codec.keep_alive and not connection.wants_write and not connection.is_spent:
            self._pool.give_back(connection)
        else:
            self._pool.drop(connection)
        return self._end(exchange, error, codec)

    def _judge(self, exchange: Exchange, codec: Codec) -> int:
        """The answer's error kind, after whatever work there is to do on it."""
        if not 200 <= codec.status < 300:  # noqa: PLR2004 - the class of success
            return HTTP_STATUS
        try:
            self._work.finish(exchange.payload, codec)
        except MalformedAnswer:
            return MALFORMED
        except PipelineFailed:
            return PIPELINE
        return OK

    def _lose(self, connection: Connection) -> None:
        """The connection is gone: before its request was written, after, or between two requests."""
        exchange = connection.exchange
        if exchange is None:
            self._pool.drop(connection)
        elif exchange.last_byte_ns == NOT_AVAILABLE:
            self._break_off(connection, exchange, CONNECT if exchange.send_end_ns == NOT_AVAILABLE else RESET)
        else:
            connection.is_spent = True

    def _break_off(self, connection: Connection, exchange: Exchange, error: int) -> None:
        """Drops the connection in mid-exchange; a request that the server did not look at goes out again."""
        is_unprocessed = connection.codec.is_unprocessed
        self._pool.drop(connection)
        if is_unprocessed and exchange.sent_again < MOST_SENT_AGAIN and error != TIMEOUT:
            exchange.sent_again += 1
            exchange.forget()
            self._send(exchange)
        else:
            self._end(exchange, error)

    def _give_up_late(self, now_ns: int) -> None:
        """Gives up what has passed its time limit, and sets the time of the next look: when the oldest will."""
        oldest_ns = now_ns
        for connection in list(self._pool.open.values()):
            exchange = connection.exchange
            if exchange is None or exchange.last_byte_ns != NOT_AVAILABLE:
                continue
            if exchange.start_ns + self._timeout_ns <= now_ns:
                self._break_off(connection, exchange, TIMEOUT)
            else:
                oldest_ns = min(oldest_ns, exchange.start_ns)
        border_ns = self._end_ns if now_ns < self._end_ns else self._stop_ns
        self._look_ns = min(oldest_ns + self._timeout_ns, border_ns)

    def _give_up_all(self) -> None:
        """The end: what is in flight is given up, what was never taken up is written down as such."""
        while self._answered:
            self._finish_next(time.monotonic_ns())
        for connection in list(self._pool.open.values()):
            if connection.exchange is not None:
                self._break_off(connection, connection.exchange, TIMEOUT)
        for due_ns in self._pacing.left_over():
            self._rows.write(self._next_exchange(due_ns, NOT_AVAILABLE), NOT_AVAILABLE, NOT_SENT, None)

    def _end(self, exchange: Exchange, error: int, codec: Codec | None = None) -> int:
        """Writes the row and sets its slot free. Returns the time."""
        instant = error == OK and not self._work.takes_time
        done_ns = exchange.last_byte_ns if instant else time.monotonic_ns()
        self.in_flight.leave(done_ns)
        self._rows.write(exchange, done_ns, error, codec)
        if self._numbering is not None:
            self._numbering.release(exchange)
        now_ns = time.monotonic_ns()
        self._pacing.freed(now_ns, rest=error in {CONNECT, RESET})
        return now_ns
