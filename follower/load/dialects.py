"""What can be spoken with a service: how a request is written, how its answer is read, who frames both."""

from collections.abc import Mapping, Sequence
from typing import Final, Protocol

from follower.load.codec import Codec
from follower.load.encode import HEADER_LENGTH, Array, InputTensor, authority, decode_infer, encode_infer
from follower.load.http2.client import GrpcCodec, request_block
from follower.load.infer_message import decode_infer_message, encode_infer_message
from follower.load.predict_json import decode_predict, encode_predict
from follower.load.predict_message import decode_predict_message, encode_predict_message
from follower.load.protocol import Target
from follower.load.response import ResponseReader
from follower.load.template_http import TemplateReader, decode_template, encode_template
from follower.serve.protocol import DialectName, Endpoint
from shared.jobs.endpoint_api import TemplateApi


class Dialect(Protocol):
    """One way to ask for an inference."""

    def path(self, model_name: str) -> str:
        """Where inferences of the model are asked for."""
        ...

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

    def path(self, model_name: str) -> str:
        return f"/v2/models/{model_name}/infer"

    def encode(self, target: Target, inputs: Sequence[InputTensor]) -> bytes:
        return encode_infer(target, inputs)

    def decode(self, codec: Codec) -> dict[str, Array]:
        return decode_infer(codec.body, codec.number(HEADER_LENGTH))

    def codec(self, target: Target, *, keep_body: bool) -> Codec:  # noqa: ARG002 - the request says where it goes
        return ResponseReader(keep_body=keep_body)


class GrpcDialect:
    """Open Inference Protocol v2 as unary gRPC calls over HTTP/2: with prior knowledge, or behind TLS by ALPN."""

    def path(self, model_name: str) -> str:  # noqa: ARG002 - the message names the model
        return "/inference.GRPCInferenceService/ModelInfer"

    def encode(self, target: Target, inputs: Sequence[InputTensor]) -> bytes:
        return encode_infer_message(target.model_name, inputs, numbered=target.numbered)

    def decode(self, codec: Codec) -> dict[str, Array]:
        return decode_infer_message(codec.body)

    def codec(self, target: Target, *, keep_body: bool) -> Codec:
        secret = target.secret
        block = request_block(
            authority(target).encode(),
            target.path.encode(),
            scheme=b"http" if target.tls is None else b"https",
            secrets=() if secret is None else [(secret.name.lower().encode(), secret.value.encode())],
        )
        return GrpcCodec(block, keep_body=keep_body)


class TensorFlowRestDialect(HttpDialect):
    """TensorFlow Serving's REST predict call, in its column format."""

    def path(self, model_name: str) -> str:
        return f"/v1/models/{model_name}:predict"

    def encode(self, target: Target, inputs: Sequence[InputTensor]) -> bytes:
        return encode_predict(target, inputs)

    def decode(self, codec: Codec) -> dict[str, Array]:
        return decode_predict(codec.body)


class TensorFlowGrpcDialect(GrpcDialect):
    """TensorFlow Serving's PredictionService, framed as every gRPC call here."""

    def path(self, model_name: str) -> str:  # noqa: ARG002 - the message names the model
        return "/tensorflow.serving.PredictionService/Predict"

    def encode(self, target: Target, inputs: Sequence[InputTensor]) -> bytes:
        return encode_predict_message(target.model_name, inputs)

    def decode(self, codec: Codec) -> dict[str, Array]:
        return decode_predict_message(codec.body)


class TemplateHttpDialect:
    """Plain HTTP, with the sample in the body that the target's template gives."""

    def path(self, model_name: str) -> str:  # noqa: ARG002 - the template names it
        return "/"

    def encode(self, target: Target, inputs: Sequence[InputTensor]) -> bytes:
        return encode_template(target, _template_of(target), inputs)

    def decode(self, codec: Codec) -> dict[str, Array]:
        if not isinstance(codec, TemplateReader):
            raise TypeError("answers to a template are read by the codec that was made for it")
        return decode_template(codec)

    def codec(self, target: Target, *, keep_body: bool) -> Codec:
        return TemplateReader(_template_of(target), keep_body=keep_body)


def _template_of(target: Target) -> TemplateApi:
    if target.template is None:
        raise ValueError("dialect template-http needs a target with a template")
    return target.template


DIALECTS: Final[Mapping[DialectName, Dialect]] = {
    "openinference-http": HttpDialect(),
    "openinference-grpc": GrpcDialect(),
    "tensorflow-rest": TensorFlowRestDialect(),
    "tensorflow-grpc": TensorFlowGrpcDialect(),
    "template-http": TemplateHttpDialect(),
}


def target_of(endpoint: Endpoint) -> Target:
    """Where a service takes inferences of its model."""
    template = endpoint.template
    return Target(
        host=endpoint.host,
        port=endpoint.port,
        path=template.path if template else DIALECTS[endpoint.dialect].path(endpoint.model_name),
        dialect=endpoint.dialect,
        model_name=endpoint.model_name,
        numbered=endpoint.numbered,
        authority=endpoint.authority,
        template=template,
        tls=endpoint.tls,
        secret=endpoint.secret,
    )
