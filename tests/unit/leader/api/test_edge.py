"""The outermost layer: hosts, request ids, headers, crashes."""

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.types import ASGIApp

from leader.api.edge import Edge, is_answered
from leader.settings import LOOPBACK_HOSTS


class Seen:
    """Remembers what was observed."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, int]] = []

    def observe(self, *, route: str, status: int, duration_s: float) -> None:
        assert duration_s >= 0
        self.requests.append((route, status))


async def fine(_request: Request) -> PlainTextResponse:
    """A handler that answers."""
    return PlainTextResponse("fine")


async def crash(_request: Request) -> PlainTextResponse:
    """A handler with a fault."""
    raise RuntimeError("password=hunter2")


def client(app: ASGIApp, host: str = "127.0.0.1:8080") -> httpx.AsyncClient:
    """A client that talks to ``app`` under this Host."""
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=f"http://{host}")


@pytest.fixture
def seen() -> Seen:
    """What the edge reported."""
    return Seen()


@pytest.fixture
def app(seen: Seen) -> ASGIApp:
    """Two routes behind the edge; the inner application is bare, as the edge must not rely on it."""
    routes = Starlette(routes=[Route("/fine", fine, name="fine"), Route("/crash", crash, name="crash")])
    return Edge(routes.router, observer=seen, hosts=LOOPBACK_HOSTS)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:8080", "localhost:1", "LOCALHOST", "[::1]:8080", "[::1]"])
def test_loopback_answers_to_its_own_names(host: str) -> None:
    """With and without a port."""
    assert is_answered(host, LOOPBACK_HOSTS)


@pytest.mark.parametrize("host", [None, "", "evil.example", "127.0.0.1.evil.example", "localhost.evil:8080", "[::2]"])
def test_loopback_answers_to_no_other_name(host: str | None) -> None:
    """A web page that points its own name at 127.0.0.1 gets nothing."""
    assert not is_answered(host, LOOPBACK_HOSTS)
    assert is_answered(host, None)


async def test_a_foreign_host_is_refused_before_the_application(app: ASGIApp, seen: Seen) -> None:
    """400 as a problem document; no route ran."""
    answer = await client(app, "evil.example").get("/fine")
    assert (answer.status_code, answer.json()["code"]) == (400, "bad-request")
    assert seen.requests == [("unmatched", 400)]


async def test_every_answer_carries_safe_headers_and_an_id(app: ASGIApp) -> None:
    """Nothing that we send is sniffed, framed or cached."""
    answers = [await client(app).get("/fine") for _ in range(3)]
    assert {answer.headers["x-content-type-options"] for answer in answers} == {"nosniff"}
    assert {answer.headers["cache-control"] for answer in answers} == {"no-store"}
    assert len({answer.headers["x-request-id"] for answer in answers}) == 3


async def test_a_harmless_id_of_the_caller_is_kept_and_another_is_not(app: ASGIApp) -> None:
    """Logs on both sides can be joined, and no header forges a log line."""
    kept = await client(app).get("/fine", headers={"X-Request-Id": "ci-42"})
    replaced = await client(app).get("/fine", headers={"X-Request-Id": 'a" b'})
    assert kept.headers["x-request-id"] == "ci-42"
    assert replaced.headers["x-request-id"] != 'a" b'


async def test_a_crash_is_a_500_without_its_insides(app: ASGIApp) -> None:
    """The id leads to the log; the answer says nothing else."""
    answer = await client(app).get("/crash")
    assert (answer.status_code, answer.json()["code"]) == (500, "internal")
    assert answer.json()["instance"] == answer.headers["x-request-id"]
    assert "hunter2" not in answer.text
