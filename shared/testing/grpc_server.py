"""The golden gRPC server: ``python -m shared.testing.grpc_server BEHAVIOUR CORES``, started by ``golden_server``.

grpcio's own server with a generic handler of bytes: what the project's small HTTP/2 framer is tested against is the
reference implementation, not a second thing of ours. Its pipes work as those of the HTTP server do. A request is
received here when a thread takes it up; beyond ``_THREADS`` at a time they queue before that, unseen.
"""

import json
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import grpc  # type: ignore[import-untyped]

from shared.testing.behaviour import Behaviour
from shared.testing.grpc_messages import METHOD, SERVICE, infer_message, samples_of
from shared.testing.journal import Journal
from shared.testing.placing import place
from shared.testing.waiting import sleep_until

_THREADS: Final = 256
_FAULTS: Final = {"", "http-500", "reset", "hang", "wrong-body"}
_CLOSING_GRACE_MS: Final = 5_000  # how long calls in flight may go on after a GOAWAY


class GrpcServer:
    """Answers ModelInfer, for any model."""

    def __init__(self, behaviour: Behaviour) -> None:
        """Starts to serve.

        Raises:
            ValueError: a fault that gRPC does not know.
        """
        if unknown := {*behaviour.faults} - _FAULTS:
            raise ValueError(f"no gRPC server fails like this: {', '.join(sorted(unknown))}")
        self._behaviour = behaviour
        self.journal = Journal(behaviour)
        self._lock = threading.Lock()
        self._messages: dict[int, bytes] = {}
        self._peers: dict[str, int] = {}
        options = [("grpc.so_reuseport", 0), ("grpc.max_receive_message_length", -1)]
        if behaviour.connection_age_s:
            age_ms = round(behaviour.connection_age_s * 1000)
            options += [("grpc.max_connection_age_ms", age_ms)]
            options += [("grpc.max_connection_age_grace_ms", _CLOSING_GRACE_MS)]
        self._server = grpc.server(ThreadPoolExecutor(_THREADS), options=options)
        handlers = {METHOD: grpc.unary_unary_rpc_method_handler(self._infer)}
        self._server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(SERVICE, handlers)])
        self.port: int = self._server.add_insecure_port("127.0.0.1:0")
        self._server.start()

    def stop(self) -> None:
        """Ends every call and connection."""
        self._server.stop(grace=None)

    def _infer(self, request: bytes, context: Any) -> bytes:
        received_ns = time.monotonic_ns()
        with self._lock:
            connection = self._peers.setdefault(context.peer(), len(self._peers) + 1)
            entry = self.journal.open(received_ns, connection)
        samples = samples_of(request)
        if entry.end_ns > received_ns:
            sleep_until(entry.end_ns, self._behaviour.spin_us)
        if entry.fault == "http-500":
            context.abort(grpc.StatusCode.INTERNAL, "injected")
        if entry.fault in {"hang", "reset"}:
            _never_answer(context, cancels=entry.fault == "reset")
            return b""
        if self._behaviour.reports:
            report = [*entry.report(), ("inferbench-batch-size", samples)]
            context.set_trailing_metadata([(name, str(value)) for name, value in report])
        message = self._message(samples)
        entry.answered_ns = time.monotonic_ns()
        return b"x" * len(message) if entry.fault == "wrong-body" else message

    def _message(self, samples: int) -> bytes:
        if samples not in self._messages:
            self._messages[samples] = infer_message(samples, self._behaviour.filler_bytes)
        return self._messages[samples]


def _never_answer(context: Any, *, cancels: bool) -> None:
    """Returns once the call is over: cancelled from here (status CANCELLED on the wire), or by the client."""
    over = threading.Event()
    if not context.add_callback(over.set):
        return
    if cancels:
        context.cancel()
    over.wait()


def main(behaviour: str, cores: str) -> None:
    """Says the port and serves; a line on the input is answered with the journal, its end ends the server."""
    place(cores)
    server = GrpcServer(Behaviour(**json.loads(behaviour)))
    sys.stdout.write(f"{server.port}\n")
    sys.stdout.flush()
    for _ in sys.stdin:
        sys.stdout.write(server.journal.text() + "\n")
        sys.stdout.flush()
    server.stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
