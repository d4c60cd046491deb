"""What can be spoken with a service: how a request is written, how its answer is read, who frames both."""

from collections.abc import Mapping, Sequence
from typing import Final, Literal, Protocol

from follower.load.codec import Codec
from follower.load.encode import HEADER_LENGTH, Array, InputTensor, authority, decode_infer, encode_infer
from follower.load.http2.client import GrpcCodec, request_block
from follower.load.infer_message import decode_infer_message, encode_infer_message
from follower.load.protocol import Target
from follower.load.response import ResponseReader

_MODEL_INFER: Final = "/inference.GRPCInferenceService/ModelInfer"


class Dialect(Protocol):
    """One way to ask for an inference."""

    def encode(self, target: Target, inputs: Sequence[InputTensor]) -> bytes:
        """A finished request: what ``Codec.start`` takes.

        Raises:
            ValueError: an array cannot be cast to its datatype.
        """
        ...

    def decode(self, codec: Codec) -> dict[str, Array]:
        """The outputs of a complete, successful answer, by name; the codec was made to keep the body.

        Raises:
            MalformedAnswer: the body is not what the protocol promises.
        """
        ...

    def codec(self, target: Target, *, keep_body: bool) -> Codec:
        """A codec for one new connection."""
        ...


class HttpDialect:
    """Open Inference Protocol v2 over HTTP/1.1 with binary tensors."""

    def encode(self, target: Target, inputs: Sequence[InputTensor]) -> bytes:
        return encode_infer(target, inputs)

    def decode(self, codec: Codec) -> dict[str, Array]:
        return decode_infer(codec.body, codec.number(HEADER_LENGTH))

    def codec(self, target: Target, *, keep_body: bool) -> Codec:  # noqa: ARG002 - the request says where it goes
        return ResponseReader(keep_body=keep_body)


class GrpcDialect:
    """Open Inference Protocol v2 as unary gRPC calls over HTTP/2, unencrypted and with prior knowledge."""

    def encode(self, target: Target, inputs: Sequence[InputTensor]) -> bytes:
        return encode_infer_message(target.model_name, inputs)

    def decode(self, codec: Codec) -> dict[str, Array]:
        return decode_infer_message(codec.body)

    def codec(self, target: Target, *, keep_body: bool) -> Codec:
        return GrpcCodec(request_block(authority(target).encode(), target.path.encode()), keep_body=keep_body)


DIALECTS: Final[Mapping[Literal["http", "grpc"], Dialect]] = {"http": HttpDialect(), "grpc": GrpcDialect()}


def infer_target(protocol: Literal["http", "grpc"], host: str, port: int, model_name: str) -> Target:
    """Where a service of the Open Inference Protocol v2 takes inferences of one model."""
    path = f"/v2/models/{model_name}/infer" if protocol == "http" else _MODEL_INFER
    return Target(host=host, port=port, path=path, protocol=protocol, model_name=model_name)
