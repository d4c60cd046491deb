"""The connections of a sender: opened ahead, grown on demand, never a limit on what is in flight."""

import contextlib
import resource
import socket
import time
from collections.abc import Callable
from typing import Any, Final

from follower.load.codec import Codec
from follower.load.connection import READ, READ_AND_WRITE, Connection
from follower.load.dialects import DIALECTS
from follower.load.protocol import Target
from follower.load.waiter import Waiter

_AHEAD_NS: Final = 1_000_000_000  # a server that takes longer to accept is met by the run itself

Connect = Callable[[int, Any, Codec], Connection]
"""Address family, address and codec -> a connection that has begun to connect."""


class Pool:
    """Connections to one target, by descriptor; the idle ones last in, first out, so that few are kept warm."""

    def __init__(self, target: Target, waiter: Waiter, *, keep_body: bool, connect: Connect = Connection) -> None:
        """Raises OSError where the host's name cannot be resolved."""
        self._target = target
        self._dialect = DIALECTS[target.dialect]
        self._family: int
        self._address: Any
        found = socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
        self._family, _, _, _, self._address = found[0]
        self._waiter = waiter
        self._keep_body = keep_body
        self._new = connect
        self._idle: list[Connection] = []
        self.open: dict[int, Connection] = {}
        _raise_descriptor_limit()

    def open_ahead(self, count: int) -> None:
        """Opens ``count`` connections and waits a little for them. One that fails is the run's to find out."""
        with contextlib.suppress(OSError):
            for _ in range(count):
                self.give_back(self.connect())
        deadline_ns = time.monotonic_ns() + _AHEAD_NS
        while any(connection.wants_write for connection in self._idle):
            now_ns = time.monotonic_ns()
            if now_ns >= deadline_ns:
                return
            for fd, _ in self._waiter.wait(deadline_ns, deadline_ns, now_ns):
                if fd in self.open:
                    self._settle(self.open[fd])

    def idle(self) -> Connection | None:
        """Takes an idle connection; None where there is none."""
        return self._idle.pop() if self._idle else None

    def connect(self) -> Connection:
        """A new connection, which has begun to connect; in use until it is given back.

        Raises:
            OSError: refused at once, or there is no descriptor or port left.
        """
        codec = self._dialect.codec(self._target, keep_body=self._keep_body)
        connection = self._new(self._family, self._address, codec)
        self.open[connection.fd] = connection
        self._waiter.register(connection.fd, connection.watched)
        return connection

    def give_back(self, connection: Connection) -> None:
        """Its exchange is over and it can carry another."""
        connection.exchange = None
        self._idle.append(connection)

    def drop(self, connection: Connection) -> None:
        """Closes it, idle or not."""
        if connection.exchange is None:
            self._idle.remove(connection)
        connection.exchange = None
        del self.open[connection.fd]
        connection.close()

    def watch(self, connection: Connection) -> None:
        """Has the waiter tell of what the connection now waits for."""
        wanted = READ_AND_WRITE if connection.wants_write and not connection.awaits_peer else READ
        if wanted != connection.watched:
            connection.watched = wanted
            self._waiter.modify(connection.fd, wanted)

    def close(self) -> None:
        """Closes every connection."""
        for connection in self.open.values():
            connection.close()
        self.open.clear()
        self._idle.clear()

    def _settle(self, connection: Connection) -> None:
        try:
            connection.flush()
            self.watch(connection)
        except OSError:
            self.drop(connection)


def _raise_descriptor_limit() -> None:
    """Takes all the descriptors that this process may have: each request in flight needs one."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
