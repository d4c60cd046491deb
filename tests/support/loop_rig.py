"""The sender's loop in the test's own process, and a server that answers each request as a script says."""

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt

from follower.load.connection import Connection
from follower.load.loop import LoadLoop
from follower.load.merge import merge_rows
from follower.load.pacing import pacing_of
from follower.load.pool import Connect, Pool
from follower.load.protocol import Target
from follower.load.rows import RowWriter
from follower.load.samples import SampleTable, WrittenRows, new_table_file
from follower.load.waiter import Waiter
from follower.load.work import Work
from shared.workload.plan import Plan

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
REQUEST = b"POST / HTTP/1.1\r\nContent-Length: 4\r\n\r\nbody"


class ReadyWork:
    """Requests made ahead, as ``follower.load.work.PreparedWork``."""

    takes_time = False

    def __init__(self, requests: Sequence[bytes] = (REQUEST,)) -> None:
        self._requests = requests
        self.answers: Sequence[object] = (None,) * len(requests)

    def request(self, payload: int) -> bytes:
        return self._requests[payload]

    def finish(self, payload: int, response: object) -> None:
        """Nothing to do."""


def run_loop(
    plan: Plan,
    target: Target,
    *,
    work: Work | None = None,
    timeout_ms: int = 2_000,
    connect: Connect = Connection,
    open_ahead: int = 1,
) -> dict[str, npt.NDArray[Any]]:
    """Runs the plan here and now; the columns that it leaves, times from the plan's zero."""
    file = new_table_file("test")
    work = work or ReadyWork()
    try:
        with Waiter() as waiter:
            pool = Pool(target, waiter, keep_body=work.takes_time, connect=connect)
            pool.open_ahead(open_ahead)
            loop = LoadLoop(
                plan=plan,
                request_timeout_ns=timeout_ms * 1_000_000,
                pacing=pacing_of(plan),
                work=work,
                pool=pool,
                waiter=waiter,
                rows=RowWriter(SampleTable(file, 100), 0),
            )
            origin_ns = time.monotonic_ns() + 5_000_000
            loop.run(origin_ns)
            pool.close()
        assert loop.in_flight.count == 0
        columns = merge_rows([WrittenRows(file).all()])
        for name in ("due_ns", "start_ns", "send_start_ns", "send_end_ns", "first_byte_ns", "last_byte_ns", "done_ns"):
            columns[name] = np.where(columns[name] >= 0, columns[name] - origin_ns, columns[name])
        return columns
    finally:
        os.close(file)


Answer = Callable[[int, socket.socket], bytes]
"""The number of the request, from 1 over all connections, and its connection -> what to send; empty closes it."""


@contextmanager
def scripted_server(answer: Answer, *, request_bytes: int = len(REQUEST)) -> Iterator[Target]:
    """A server in threads of this process: reads requests of a known size and does with each what ``answer`` says."""
    listener = socket.create_server(("127.0.0.1", 0))
    counting = threading.Lock()
    seen = [0]

    def serve(connection: socket.socket) -> None:
        with connection:
            while read := _read(connection, request_bytes):
                with counting:
                    seen[0] += 1
                    number = seen[0]
                said = answer(number, connection) if len(read) == request_bytes else b""
                if not said:
                    return
                connection.sendall(said)

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=[connection], daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield Target(host="127.0.0.1", port=listener.getsockname()[1], path="/")
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


def _read(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        try:
            piece = connection.recv(size - len(data))
        except OSError:
            return b""
        if not piece:
            return data
        data += piece
    return data
