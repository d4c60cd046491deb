"""What is made of a server's status and metadata, whatever it says."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from follower.serve.model_client import RefusedByServer, Unreachable
from follower.serve.openinference.tensors import TensorInfo
from follower.serve.ports import free_ports
from follower.serve.tensorflow.arrival import Watched
from follower.serve.tensorflow.rest_client import RestClient

TIMEOUT_S = 5.0


@contextmanager
def server(status: int, body: bytes) -> Iterator[RestClient]:
    """Answers everything alike."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_arguments: Any) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield RestClient(host="127.0.0.1", port=listening.server_address[1], model="m")
        finally:
            listening.shutdown()
            thread.join()


def status(state: str) -> bytes:
    """As TensorFlow Serving tells it."""
    version = {"version": "1", "state": state, "status": {"error_code": "OK", "error_message": ""}}
    return json.dumps({"model_version_status": [version]}).encode()


def metadata(signature: str = "serving_default", **shape: Any) -> bytes:
    """Of one input."""
    tensor = {"dtype": "DT_INT64", "tensor_shape": {"dim": [{"size": "-1", "name": ""}], **shape}, "name": "serve_x:0"}
    signatures = {signature: {"inputs": {"x": tensor}, "outputs": {}, "method_name": ""}}
    return json.dumps({"metadata": {"signature_def": {"signature_def": signatures}}}).encode()


def test_an_available_version_is_enough() -> None:
    """The server may know older ones."""
    with server(200, status("AVAILABLE")) as client:
        client.is_available(TIMEOUT_S)


@pytest.mark.parametrize("state", ["LOADING", "END", "START"])
def test_any_other_state_is_not_ready(state: str) -> None:
    """With what the server says."""
    with server(200, status(state)) as client, pytest.raises(RefusedByServer, match=state):
        client.is_available(TIMEOUT_S)


def test_names_types_and_shapes_come_from_the_signature() -> None:
    """The name in the graph is not the input's name."""
    with server(200, metadata()) as client:
        assert client.metadata().inputs == (TensorInfo(name="x", datatype="INT64", shape=(-1,)),)


@pytest.mark.parametrize(
    ("code", "body", "error"),
    [
        (404, b'{"error":"no such model"}', RefusedByServer),
        (200, metadata("score"), RefusedByServer),
        (200, metadata(unknown_rank=True), Unreachable),
        (200, metadata().replace(b"DT_INT64", b"DT_RESOURCE"), Unreachable),
        (200, b"<html>", Unreachable),
        (200, b"[]", Unreachable),
        (200, b"{}", Unreachable),
        (200, b'{"metadata":7}', Unreachable),
    ],
)
def test_other_answers_are_told_apart(code: int, body: bytes, error: type[Exception]) -> None:
    """A refusal, or something that is no description of a model."""
    with server(code, body) as client, pytest.raises(error):
        client.metadata()


def test_a_missing_signature_is_named_with_those_that_there_are() -> None:
    """So that the model can be exported anew."""
    with server(200, metadata("score")) as client, pytest.raises(RefusedByServer, match=r"only \['score'\]"):
        client.metadata()


def test_nobody_at_the_port_is_unreachable() -> None:
    """And nothing has arrived."""
    port, grpc_port = free_ports(2)
    client = RestClient(host="127.0.0.1", port=port, model="m")
    with pytest.raises(Unreachable):
        client.is_available(TIMEOUT_S)
    assert Watched(client, grpc_port).events() == []


def test_a_server_that_trickles_is_cut_off_at_the_deadline() -> None:
    """A byte now and then does not buy more time."""
    stopped = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def trickle() -> None:
            with suppress(OSError), listening.accept()[0] as connection:
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
                while not stopped.wait(0.05):
                    connection.sendall(b"x")

        thread = threading.Thread(target=trickle)
        thread.start()
        began = time.monotonic()
        with pytest.raises(Unreachable):
            RestClient(host="127.0.0.1", port=listening.getsockname()[1], model="m").metadata(0.4)
        took_s = time.monotonic() - began
        stopped.set()
        thread.join()
    assert took_s < 3


def test_a_watched_server_arrives_in_two_steps() -> None:
    """Its port, then its model; each is stamped once."""
    with server(200, status("AVAILABLE")) as client:
        watched = Watched(client, 8500)
        (listening,) = watched.events()
        assert (listening.name, listening.port, listening.facts) == ("listening", client.port, {"grpc_port": 8500})
        both = watched.events()
        assert [event.name for event in both] == ["listening", "model-loaded"]
        assert both[0].at_ns <= both[1].at_ns
        assert watched.events() == both


def test_a_watched_server_that_loads_has_only_its_port() -> None:
    """However often it is looked at."""
    with server(200, status("LOADING")) as client:
        watched = Watched(client, 8500)
        assert [len(watched.events()) for _ in range(3)] == [1, 1, 1]
