"""The null server's process: ``python -m follower.calibrate.null_server SCRIPTFILE``, started by ``null_process``.

A server that does nothing but answer, so that what is measured against it is the client. It says its port on standard
output and runs until it is killed.
"""

import gc
import json
import os
import pickle
import resource
import select
import socket
import sys
from pathlib import Path
from typing import Final

from follower.calibrate.replies import Replies, Script, replies_of
from follower.load.codec import MalformedResponse

HOST: Final = "127.0.0.1"
_BACKLOG: Final = 4096
_READ_BYTES: Final = 1 << 20


class Peer:
    """One client's connection."""

    __slots__ = ("_closes", "_replies", "_unsent", "socket")

    def __init__(self, connection: socket.socket, replies: Replies, *, closes: bool) -> None:
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket = connection
        self._replies = replies
        self._closes = closes
        self._unsent = b""

    @property
    def wants_write(self) -> bool:
        return bool(self._unsent)

    def go_on(self, buffer: memoryview) -> bool:
        """Reads once and says what there is to say; False once the connection is over."""
        try:
            received = self.socket.recv_into(buffer) if not self._unsent else -1
        except BlockingIOError:
            return True
        if received == 0:
            return False
        if received > 0:
            self._unsent = self._replies.take(buffer[:received])
        return not self._unsent or self._write()

    def _write(self) -> bool:
        try:
            sent = self.socket.send(self._unsent)
        except BlockingIOError:
            return True
        self._unsent = self._unsent[sent:] if sent < len(self._unsent) else b""
        return bool(self._unsent) or not self._closes


def serve(listener: socket.socket, script: Script) -> None:
    """Answers for ever."""
    listener.setblocking(False)
    poll = select.epoll()
    poll.register(listener.fileno(), select.EPOLLIN)
    peers: dict[int, Peer] = {}
    buffer = memoryview(bytearray(_READ_BYTES))
    while True:
        for fd, _ in poll.poll():
            peer = peers.get(fd)
            if peer is None:
                _accept(listener, poll, peers, script)
                continue
            had_unsent = peer.wants_write
            if not _lives(peer, buffer):
                del peers[fd]
                peer.socket.close()
            elif peer.wants_write != had_unsent:
                poll.modify(fd, select.EPOLLOUT if peer.wants_write else select.EPOLLIN)


def _lives(peer: Peer, buffer: memoryview) -> bool:
    try:
        return peer.go_on(buffer)
    except (OSError, MalformedResponse):
        return False


def _accept(listener: socket.socket, poll: select.epoll, peers: dict[int, Peer], script: Script) -> None:
    try:
        connection, _ = listener.accept()
    except OSError:  # it has gone again, or there is no descriptor left
        return
    peers[connection.fileno()] = Peer(connection, replies_of(script), closes=script.closes)
    poll.register(connection.fileno(), select.EPOLLIN)


def main(script_path: str) -> None:
    """Serves the pickled ``Script``."""
    script: Script = pickle.loads(Path(script_path).read_bytes())  # noqa: S301 - written by our parent in a 0700 directory
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with socket.create_server((HOST, 0), backlog=_BACKLOG) as listener:
        os.write(sys.stdout.fileno(), json.dumps({"port": listener.getsockname()[1]}).encode() + b"\n")
        gc.freeze()
        gc.disable()
        serve(listener, script)


if __name__ == "__main__":
    main(sys.argv[1])
