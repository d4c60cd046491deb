"""The slower path, for cross-checks only: the same call made by grpcio's own client."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import grpc  # type: ignore[import-untyped]

from follower.load.protocol import Target


@dataclass(frozen=True)
class GrpcioAnswer:
    """What grpcio says of a call."""

    code: int
    details: str
    message: bytes
    metadata: dict[str, str]  # initial and trailing


class GrpcioClient:
    """One channel; messages as bytes."""

    def __init__(self, channel: Any, path: str) -> None:
        self._call = channel.unary_unary(path)

    def ask(self, message: bytes) -> GrpcioAnswer:
        """One call."""
        try:
            answer, call = self._call.with_call(message, timeout=30)
        except grpc.RpcError as error:
            answer, call = b"", error
        code, _ = call.code().value
        pairs = [*call.initial_metadata(), *call.trailing_metadata()]
        return GrpcioAnswer(code, call.details() or "", answer, dict(pairs))


@contextmanager
def grpcio_client(target: Target) -> Iterator[GrpcioClient]:
    """Connected until the context is left."""
    options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
    with grpc.insecure_channel(f"{target.host}:{target.port}", options=options) as channel:
        yield GrpcioClient(channel, target.path)
