"""The small client against servers that behave badly."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest

from follower.serve.model_client import RefusedByServer, Unreachable
from follower.serve.openinference.client import OpenInferenceClient

Serve = Callable[[Callable[[socket.socket], None]], OpenInferenceClient]


@pytest.fixture
def heard() -> list[bytes]:
    """What the server was sent first."""
    return []


@pytest.fixture
def serve(heard: list[bytes]) -> Iterator[Serve]:
    """Starts a server that answers one connection in the way given."""
    threads: list[threading.Thread] = []

    def serve(behave: Callable[[socket.socket], None]) -> OpenInferenceClient:
        listener = socket.create_server(("127.0.0.1", 0))

        def answer() -> None:
            with listener, listener.accept()[0] as connection, suppress(OSError):
                heard.append(connection.recv(65536))
                behave(connection)

        threads.append(threading.Thread(target=answer))
        threads[-1].start()
        return OpenInferenceClient(host="127.0.0.1", port=listener.getsockname()[1], model="a/../b")

    yield serve
    for thread in threads:
        thread.join(10)


def text(status: str, body: bytes) -> Callable[[socket.socket], None]:
    """Answers with a body."""
    head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    return lambda connection: connection.sendall(head + body)


def test_a_refusal_carries_the_servers_words(serve: Serve) -> None:
    """Its status and the error object's text."""
    with pytest.raises(RefusedByServer, match="status 503: still loading") as caught:
        serve(text("503 Service Unavailable", b'{"error": "still loading"}')).is_ready(5)
    assert caught.value.status == 503


@pytest.mark.parametrize("body", [b"<html>busy</html>", b'"busy"', b"busy"])
def test_a_refusal_of_another_form_is_quoted_as_it_is(serve: Serve, body: bytes) -> None:
    """A proxy in between need not know the protocol."""
    with pytest.raises(RefusedByServer, match="busy"):
        serve(text("502 Bad Gateway", body)).is_ready(5)


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"name": "m", "inputs": 3, "outputs": []}'])
def test_metadata_that_cannot_be_read_is_no_answer(serve: Serve, body: bytes) -> None:
    """Nothing half-understood is returned."""
    with pytest.raises(Unreachable, match="metadata cannot be read"):
        serve(text("200 OK", body)).metadata(5)


def test_a_server_that_hangs_up_is_unreachable(serve: Serve) -> None:
    """As one that is not there."""
    with pytest.raises(Unreachable):
        serve(lambda _: None).is_ready(5)


def test_a_closed_port_is_unreachable() -> None:
    """The message says what was tried."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(Unreachable, match="GET /v2/health/ready"):
        OpenInferenceClient(host="127.0.0.1", port=port, model="m").is_ready(5)


def test_a_server_that_trickles_is_cut_off_at_the_deadline(serve: Serve) -> None:
    """A byte now and then does not buy more time."""

    def trickle(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        for _ in range(200):
            connection.sendall(b"x")
            time.sleep(0.05)

    client = serve(trickle)
    began = time.monotonic()
    with pytest.raises(Unreachable):
        client.is_ready(0.5)
    assert time.monotonic() - began < 4


def test_a_server_that_says_nothing_is_given_up_at_the_deadline(serve: Serve) -> None:
    """A hang ends as no answer."""
    silent = threading.Event()
    client = serve(lambda _: (silent.wait(10), None)[1])
    with pytest.raises(Unreachable):
        client.is_ready(0.3)
    silent.set()


def test_a_models_name_is_one_segment_of_the_path(serve: Serve, heard: list[bytes]) -> None:
    """A slash in it cannot lead elsewhere."""
    with pytest.raises(Unreachable):
        serve(lambda _: None).metadata(5)
    assert heard[0].startswith(b"GET /v2/models/a%2F..%2Fb HTTP/1.1\r\n")
