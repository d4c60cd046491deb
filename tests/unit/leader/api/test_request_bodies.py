"""Bodies: limits hold whatever the headers say, and nothing is read in vain."""

import asyncio
from collections.abc import Sequence

import pytest
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, Request
from starlette.types import Message

from leader.api import bodies
from leader.api.problems import BadRequest, ClientTooSlow, UnsupportedMediaType
from shared.errors import InvalidInput, TooLarge


class Sender:
    """A caller that sends these chunks, and counts how many were taken."""

    def __init__(self, chunks: Sequence[bytes], *, then_leaves: bool = False) -> None:
        last = len(chunks) - 1
        self.messages: list[Message] = [
            {"type": "http.request", "body": chunk, "more_body": then_leaves or i < last}
            for i, chunk in enumerate(chunks)
        ]
        if then_leaves:
            self.messages.append({"type": "http.disconnect"})
        self.taken = 0

    async def receive(self) -> Message:
        self.taken += 1
        return self.messages[self.taken - 1]

    def request(self, **headers: str) -> Request:
        """A request with these headers (underscores mean dashes)."""
        raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
        return Request({"type": "http", "method": "PUT", "path": "/", "headers": raw}, self.receive)


async def test_a_body_is_read_in_full() -> None:
    """Chunks come together in order."""
    assert await bodies.read(Sender([b"ab", b"", b"c"]).request(), 3) == b"abc"


async def test_a_declared_length_above_the_limit_is_refused_before_a_byte_is_read() -> None:
    """Nobody waits for ten gigabytes to say no."""
    sender = Sender([b"x"])
    with pytest.raises(TooLarge, match="10000000000 bytes; at most 65536"):
        await bodies.read(sender.request(content_length="10000000000"), 65536)
    assert sender.taken == 0


async def test_a_chunked_body_is_cut_as_soon_as_it_is_too_long() -> None:
    """Without Content-Length the limit holds just the same."""
    sender = Sender([b"x" * 40] * 1000)
    with pytest.raises(TooLarge, match="longer than the 100 bytes"):
        await bodies.read(sender.request(), 100)
    assert sender.taken == 3


async def test_a_length_that_lies_does_not_help() -> None:
    """What is counted is what arrives."""
    with pytest.raises(TooLarge):
        await bodies.read(Sender([b"x" * 200]).request(content_length="10"), 100)


@pytest.mark.parametrize("length", ["-1", "1e3", "0x10", " 5", "\xb2", ""])
async def test_a_length_that_is_no_number_is_refused(length: str) -> None:
    """Negative and fanciful lengths never reach arithmetic."""
    with pytest.raises(BadRequest):
        bodies.declared_length(Headers({"content-length": length}), 100)


async def test_a_caller_that_leaves_in_the_middle_is_noticed() -> None:
    """A truncated upload is never taken for a complete one."""
    with pytest.raises(ClientDisconnect):
        await bodies.read(Sender([b"half"], then_leaves=True).request(), 100)


async def test_a_caller_that_stops_sending_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A slow-loris cannot hold a request for ever."""
    monkeypatch.setattr(bodies, "_PATIENCE_S", 0.01)

    async def never() -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    with pytest.raises(ClientTooSlow):
        await bodies.read(Request({"type": "http", "headers": []}, never), 100)


@pytest.mark.parametrize("found", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
def test_types_that_a_foreign_page_could_send_are_refused(found: str) -> None:
    """A browser's simple request is no job file."""
    with pytest.raises(UnsupportedMediaType, match="application/yaml or application/json"):
        bodies.require_type(Headers({"content-type": found}), bodies.JOB_FILE_TYPES)


def test_parameters_of_a_type_do_not_matter() -> None:
    """A charset may be named."""
    assert bodies.require_type(Headers({"content-type": "Application/YAML; charset=utf-8"}), bodies.JOB_FILE_TYPES)


@pytest.mark.parametrize("body", [b"", b"{", b'{"a": NaN}', b'{"a": Infinity}', b"\xff", b"[" * 100_000])
def test_what_is_not_strict_json_is_refused(body: bytes) -> None:
    """NaN would poison every ranking, and depth is bounded."""
    with pytest.raises(InvalidInput, match="not JSON"):
        bodies.require_json(body)


async def test_a_replayed_body_is_read_again_by_the_next_reader() -> None:
    """The guard reads first; the handler must not find an empty body."""
    request = Sender([b"all"]).request()
    again = bodies.replay(request, await bodies.read(request, 10))
    assert await again.body() == b"all"
