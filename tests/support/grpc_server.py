"""A real grpcio server of bytes, inside the test process: the reference for the project's own framer."""

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc  # type: ignore[import-untyped]

from follower.load.protocol import Target

PATH = "/inference.GRPCInferenceService/ModelInfer"

Handler = Callable[[bytes, Any], bytes]
"""Message and grpcio's context -> message."""


class _Generic(grpc.GenericRpcHandler):  # type: ignore[misc]
    """One handler for every path."""

    def __init__(self, handler: Handler) -> None:
        self._handler = grpc.unary_unary_rpc_method_handler(handler)

    def service(self, _details: Any) -> Any:
        return self._handler


@contextmanager
def grpc_server(
    handler: Handler, options: Mapping[str, int] | None = None, *, credentials: Any = None
) -> Iterator[Target]:
    """Serves until the context is left, over TLS with ``credentials``; without ``options`` messages have no limit."""
    limits = {"grpc.max_receive_message_length": -1, "grpc.max_send_message_length": -1}
    server = grpc.server(
        ThreadPoolExecutor(4), handlers=[_Generic(handler)], options=list({**limits, **(options or {})}.items())
    )
    if credentials is None:
        port = server.add_insecure_port("127.0.0.1:0")
    else:
        port = server.add_secure_port("127.0.0.1:0", credentials)
    server.start()
    try:
        yield Target(host="127.0.0.1", port=port, path=PATH, dialect="openinference-grpc", model_name="m")
    finally:
        server.stop(None).wait(5)
