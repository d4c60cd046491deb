"""The project's own HTTP/2 framer against grpcio, the reference implementation, on the server's side."""

import contextlib
import threading
import time
from contextlib import ExitStack
from typing import Any

import grpc  # type: ignore[import-untyped]
import numpy as np
import pytest
from support.codec_client import codec_client
from support.grpc_server import grpc_server
from support.grpcio_client import grpcio_client
from support.http2_peer import prefixed
from tritonclient.grpc import service_pb2  # type: ignore[import-untyped]

from follower.attempt.answers import ask_all
from follower.load.codec import Codec, ResponseReset
from follower.load.dialects import DIALECTS
from follower.load.encode import InputTensor

FOUR_MB = 4 * 1024 * 1024


def echo(message: bytes, _context: Any) -> bytes:
    """The message itself."""
    return message


def test_many_calls_on_one_connection() -> None:
    """Each with its own message; header blocks repeat, and the cache answers for them."""
    with grpc_server(echo) as target, codec_client(target) as client:
        for number in range(300):
            message = b"%d" % number * (number % 7)
            codec = client.ask(prefixed(message))
            assert (codec.status, codec.body, codec.keep_alive) == (200, message, True)


@pytest.mark.parametrize("receive_bytes", [1, 7, 4096])
def test_answers_in_small_pieces(receive_bytes: int) -> None:
    """However few bytes are read at a time."""
    with grpc_server(echo) as target, codec_client(target, receive_bytes=receive_bytes) as client:
        for message in (b"", b"x", b"y" * 500):
            assert client.ask(prefixed(message)).body == message


def test_messages_of_four_megabytes_both_ways() -> None:
    """Far beyond the windows that a connection starts with, several times, so that windows must be given again."""
    message = np.random.default_rng(1).bytes(FOUR_MB)
    with grpc_server(echo) as target, codec_client(target) as client:
        for _ in range(4):
            codec = client.ask(prefixed(message))
            assert codec.status == 200
            assert codec.body == message


def test_a_small_server_window_is_obeyed() -> None:
    """A server that reads only 64 KiB ahead gets four megabytes, in DATA frames no longer than it takes."""
    options = {"grpc.http2.lookahead_bytes": 65_536, "grpc.http2.bdp_probe": 0}
    with grpc_server(echo, options) as target, codec_client(target) as client:
        assert client.ask(prefixed(bytes(FOUR_MB))).body == bytes(FOUR_MB)


def report(message: bytes, context: Any) -> bytes:
    """Metadata before and after the message, with other values each time."""
    context.send_initial_metadata([("inferbench-batch-size", message.decode())])
    context.set_trailing_metadata([("inferbench-queue-ns", f"{int(message) * 1000}"), ("inferbench-note", "x")])
    return message


def test_what_the_server_reports_is_found_in_headers_and_trailers() -> None:
    """New values in each answer: the header tables of both sides stay the same."""
    with grpc_server(report) as target, codec_client(target) as client:
        for number in range(1, 200):
            codec = client.ask(prefixed(b"%d" % number))
            assert codec.number(b"inferbench-batch-size") == number
            assert codec.number(b"inferbench-queue-ns") == number * 1000
            assert codec.number(b"inferbench-note") is None


def fail(message: bytes, context: Any) -> bytes:
    """The status that the message names, in words that need encoding; 0 succeeds."""
    code = next(code for code in grpc.StatusCode if code.value[0] == int(message))
    if code is not grpc.StatusCode.OK:
        context.abort(code, f"100 % of {code.name}: ü\n")
    return message


def test_every_status_is_what_grpcio_itself_makes_of_it() -> None:
    """200 for OK, 599 for every other; the same code, words, message and metadata."""
    with grpc_server(fail) as target, codec_client(target) as ours, grpcio_client(target) as theirs:
        for code in range(17):
            message = b"%d" % code
            codec, reference = ours.ask(prefixed(message)), theirs.ask(message)
            assert reference.code == code
            assert codec.status == (599 if code else 200)
            assert codec.body == reference.message
            assert codec.explanation == f"grpc-status {code}: {reference.details}"
            assert codec.keep_alive


def test_framer_and_grpcio_get_the_same_answers() -> None:
    """Messages of any size, with metadata."""

    def double(message: bytes, context: Any) -> bytes:
        context.set_trailing_metadata([("inferbench-queue-ns", str(len(message)))])
        return 2 * message

    stream = np.random.default_rng(2)
    with grpc_server(double) as target, codec_client(target) as ours, grpcio_client(target) as theirs:
        for size in (0, 1, 100, 16_379, 16_384, 65_535, 70_000, 1_000_000):
            message = stream.bytes(size)
            codec, reference = ours.ask(prefixed(message)), theirs.ask(message)
            assert codec.body == reference.message
            assert str(codec.number(b"inferbench-queue-ns")) == reference.metadata["inferbench-queue-ns"]


def test_an_answer_that_comes_before_the_request_is_sent_ends_the_exchange() -> None:
    """The server refuses a message above its limit at its length prefix; the connection is spent."""
    options = {"grpc.max_receive_message_length": 1000}
    with grpc_server(echo, options) as target, codec_client(target) as client:
        codec = client.ask(prefixed(bytes(8 * FOUR_MB)))
        assert codec.status == 599
        assert codec.explanation.startswith("grpc-status 8:")
        assert not codec.keep_alive


def test_a_server_that_limits_a_connections_age_costs_no_request() -> None:
    """GOAWAY in mid-run, again and again: every call is answered, over one connection after another."""
    options = {"grpc.max_connection_age_ms": 100, "grpc.max_connection_age_grace_ms": 5_000}
    answered = connections = 0
    ends = time.monotonic() + 1.5
    with grpc_server(echo, options) as target:
        while time.monotonic() < ends:
            connections += 1
            with codec_client(target) as client:
                while client.codec.keep_alive and time.monotonic() < ends:
                    codec = client.ask(prefixed(b"%d" % answered))
                    if not codec.is_unprocessed:
                        assert (codec.status, codec.body) == (200, b"%d" % answered)
                        answered += 1
    assert connections > 3
    assert answered > connections


def test_a_call_under_way_when_goaway_comes_is_finished() -> None:
    """The server lets it end in its time; only then is the connection given up."""
    under_way = threading.Event()

    def slow(message: bytes, _context: Any) -> bytes:
        under_way.set()
        time.sleep(0.6)
        return message

    options = {"grpc.max_connection_age_ms": 100, "grpc.max_connection_age_grace_ms": 10_000}
    with grpc_server(slow, options) as target, codec_client(target) as client:
        client.begin(prefixed(b"patience"))
        assert under_way.wait(5)
        kept = []
        while not client.receive():
            kept.append(client.codec.keep_alive)
        assert False in kept  # GOAWAY came first
        assert (client.codec.status, client.codec.body, client.codec.keep_alive) == (200, b"patience", False)


def test_a_client_that_stops_waiting_is_noticed_by_the_server() -> None:
    """A time limit ends with the connection; the server's call is cancelled, and others are not disturbed."""
    cancelled, arrived = threading.Event(), threading.Event()

    def never(message: bytes, context: Any) -> bytes:
        if message == b"quick":
            return message
        context.add_callback(cancelled.set)
        arrived.set()
        cancelled.wait(10)
        return message

    with grpc_server(never) as target, codec_client(target) as other:
        with codec_client(target) as client:
            client.begin(prefixed(b"slow"))
            assert arrived.wait(5)
        assert cancelled.wait(5)
        assert other.ask(prefixed(b"quick")).status == 200


def test_a_servers_deadline_is_a_failure_with_its_words() -> None:
    """As for any other status."""

    def late(_message: bytes, context: Any) -> bytes:
        context.abort(grpc.StatusCode.DEADLINE_EXCEEDED, "too late")
        return b""

    with grpc_server(late) as target, codec_client(target) as client:
        codec = client.ask(prefixed(b"now"))
        assert (codec.status, codec.explanation) == (599, "grpc-status 4: too late")


def test_a_server_that_stops_in_mid_call_leaves_no_success() -> None:
    """A failure status, a reset stream or a closed connection: nothing is made up for the answer."""
    arrived, release = threading.Event(), threading.Event()

    def hang(message: bytes, _context: Any) -> bytes:
        arrived.set()
        release.wait(10)
        return message

    with ExitStack() as stack:
        with grpc_server(hang) as target:
            client = stack.enter_context(codec_client(target))
            client.begin(prefixed(b"x"))
            assert arrived.wait(5)
        with contextlib.suppress(ConnectionError, ResponseReset):
            while not client.receive():
                continue
        assert client.codec.status in {0, 599}
        release.set()


class Asking:
    """Asks with the payload's number."""

    takes_time = True

    def __init__(self) -> None:
        self.answers: list[object] = [None] * 3

    def request(self, payload: int) -> bytes:
        return prefixed(b"%d" % payload)

    def finish(self, payload: int, response: Codec) -> None:
        self.answers[payload] = response.body


def test_answers_are_checked_before_the_load_over_grpc_too() -> None:
    """A failure status is no answer, and does not end the pass."""

    def odd_ones_fail(message: bytes, context: Any) -> bytes:
        if int(message) % 2:
            context.abort(grpc.StatusCode.INTERNAL, "odd")
        return b"answer " + message

    with grpc_server(odd_ones_fail) as target:
        assert ask_all(Asking(), target, 3, 5_000_000_000, lambda: None) == [b"answer 0", None, b"answer 2"]


def test_an_inference_through_the_whole_dialect() -> None:
    """Encoded by us, read by tritonclient's classes, answered by them, decoded by us."""

    def infer(message: bytes, _context: Any) -> bytes:
        request = service_pb2.ModelInferRequest.FromString(message)
        array = np.frombuffer(request.raw_input_contents[0], "<f4").reshape(request.inputs[0].shape)
        answer = service_pb2.ModelInferResponse(model_name=request.model_name)
        answer.outputs.add(name="y", datatype="FP32", shape=array.shape)
        answer.raw_output_contents.append((2 * array).astype("<f4").tobytes())
        return bytes(answer.SerializeToString())

    dialect = DIALECTS["openinference-grpc"]
    batch = np.arange(12, dtype=np.float32).reshape(3, 4)
    with grpc_server(infer) as target, codec_client(target) as client:
        request = dialect.encode(target, [InputTensor(name="x", datatype="FP32", array=batch)])
        outputs = dialect.decode(client.ask(request))
    assert outputs["y"].tolist() == (2 * batch).tolist()
