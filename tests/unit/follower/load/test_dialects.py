"""Both dialects by their table: where requests go, and that each one's codec takes its own requests."""

import numpy as np
import pytest
from support import http2_peer as peer

from follower.load.dialects import DIALECTS, target_of
from follower.load.encode import InputTensor, MalformedAnswer
from follower.serve.protocol import DialectName, Endpoint
from shared.jobs.endpoint_api import TemplateApi

INPUT = InputTensor(name="x", datatype="FP32", array=np.zeros((1, 2), dtype=np.float32))
TEMPLATE = TemplateApi(api="template", path="/p", body="[{{sample}}]", sample="json")


def endpoint(dialect: DialectName, host: str = "127.0.0.1") -> Endpoint:
    """Of a model named resnet."""
    template = TEMPLATE if dialect == "template-http" else None
    return Endpoint(host=host, port=8000, model_name="resnet", dialect=dialect, template=template)


def test_http_names_the_model_in_the_path_and_grpc_in_the_message() -> None:
    """As the Open Inference Protocol v2 lays down for each."""
    http = target_of(endpoint("openinference-http"))
    grpc = target_of(endpoint("openinference-grpc"))
    assert http.path == "/v2/models/resnet/infer"
    assert grpc.path == "/inference.GRPCInferenceService/ModelInfer"
    assert DIALECTS["openinference-http"].encode(http, [INPUT]).startswith(b"POST /v2/models/resnet/infer HTTP/1.1\r\n")
    assert b"resnet" in DIALECTS["openinference-grpc"].encode(grpc, [INPUT])


@pytest.mark.parametrize("dialect", sorted(DIALECTS))
def test_a_codec_sends_what_its_dialect_encodes(dialect: DialectName) -> None:
    """The finished request is the end of what goes out for it."""
    target = target_of(endpoint(dialect))
    request = DIALECTS[dialect].encode(target, [INPUT])
    codec = DIALECTS[dialect].codec(target, keep_body=False)
    assert bytes(codec.start(request)).endswith(request)
    assert codec.is_sent


def test_an_ipv6_target_is_bracketed_in_grpcs_authority_too() -> None:
    """It is a URI's authority as well."""
    target = target_of(endpoint("openinference-grpc", host="::1"))
    head, _ = peer.spoken(bytes(DIALECTS["openinference-grpc"].codec(target, keep_body=False).start(b"x")))
    assert b"[::1]:8000" in head.payload


def test_each_dialect_decodes_its_own_answer() -> None:
    """Through the codec that took it; what is no infer response is refused."""
    http = DIALECTS["openinference-http"].codec(target_of(endpoint("openinference-http")), keep_body=True)
    http.start(b"")
    body = b'{"outputs":[{"name":"y","datatype":"FP32","shape":[1],"parameters":{"binary_data_size":4}}]}'
    head = b"HTTP/1.1 200 OK\r\nInference-Header-Content-Length: %d\r\n" % len(body)
    assert http.feed(memoryview(head + b"Content-Length: %d\r\n\r\n" % (len(body) + 4) + body + b"\0\0\0\x3f"))
    assert DIALECTS["openinference-http"].decode(http)["y"].tolist() == [0.5]
    http.start(b"")
    assert http.feed(memoryview(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]"))
    with pytest.raises(MalformedAnswer):
        DIALECTS["openinference-http"].decode(http)
