"""A real HTTP server that answers as it was told to and remembers what it was asked: a leader for the CLI's tests."""

import json
import threading
from collections import defaultdict, deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from pydantic import BaseModel

TOKEN = "ib_admin_of-the-scripted-leader"


@dataclass(frozen=True)
class Reply:
    """One answer. ``cut``: the connection is closed after the body, before its announced end."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: bool = False


@dataclass(frozen=True)
class Asked:
    """One request."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes


@dataclass
class ScriptedLeader:
    """Replies per route, used up in order; the last one of a route stays."""

    url: str = ""
    asked: list[Asked] = field(default_factory=list)
    _script: dict[tuple[str, str], deque[Reply]] = field(default_factory=lambda: defaultdict(deque))

    def will(self, method: str, path: str, *replies: Reply) -> None:
        self._script[method, path].extend(replies)

    def answers(self, method: str, path: str, *bodies: BaseModel | Mapping[str, Any], status: int = 200) -> None:
        """JSON answers."""
        self.will(method, path, *(Reply(status, _json(body)) for body in bodies))

    def refuses(self, method: str, path: str, status: int, code: str, detail: str, **more: Any) -> None:
        """A problem document."""
        body = {"title": code, "status": status, "code": code, "detail": detail, **more}
        self.will(method, path, Reply(status, json.dumps(body).encode(), {"Content-Type": "application/problem+json"}))

    def tells(self, path: str, *events: tuple[str, BaseModel], cut: bool = False) -> None:
        """A stream of events: (name, view) each; ``cut`` breaks it off."""
        text = ": hello\n\n" + "".join(
            f"id: {json.loads(_json(view))['id']}\nevent: {name}\ndata: {_json(view).decode()}\n\n"
            for name, view in events
        )
        self.will("GET", path, Reply(200, text.encode(), {"Content-Type": "text/event-stream"}, cut=cut))

    def reply_to(self, asked: Asked) -> Reply:
        self.asked.append(asked)
        if asked.headers.get("authorization") != f"Bearer {TOKEN}":
            return Reply(401, _problem(401, "unauthenticated", "no such token"))
        replies = self._script.get((asked.method, asked.path))
        if not replies:
            return Reply(404, _problem(404, "not-found", f"nothing at {asked.path}"))
        return replies.popleft() if len(replies) > 1 else replies[0]

    def requests(self, method: str, path: str) -> list[Asked]:
        """What was asked of one route."""
        return [asked for asked in self.asked if (asked.method, asked.path) == (method, path)]


@contextmanager
def scripted_leader() -> Iterator[ScriptedLeader]:
    """A server on a free loopback port."""
    leader = ScriptedLeader()

    class Handler(BaseHTTPRequestHandler):
        """Hands each request to the script."""

        def answer(self) -> None:
            parts = urlsplit(self.path)
            asked = Asked(
                method=self.command,
                path=unquote(parts.path),
                query={name: values[-1] for name, values in parse_qs(parts.query).items()},
                headers={name.lower(): value for name, value in self.headers.items()},
                body=self._body(),
            )
            reply = leader.reply_to(asked)
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(reply.body) + (1 if reply.cut else 0)))
            self.end_headers()
            self.wfile.write(reply.body)

        def _body(self) -> bytes:
            if self.headers.get("Transfer-Encoding") != "chunked":
                return self.rfile.read(int(self.headers.get("Content-Length", 0)))
            body = b""
            while length := int(self.rfile.readline(), 16):
                body += self.rfile.read(length)
                self.rfile.readline()
            self.rfile.readline()
            return body

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = answer  # noqa: N815 - the names that http.server looks for

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - inherited name
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    leader.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield leader
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def token_file(folder: Path) -> Path:
    """A file with the token that the server takes."""
    path = folder / "scripted.token"
    path.write_text(TOKEN + "\n")
    return path


def _json(body: BaseModel | Mapping[str, Any]) -> bytes:
    return (body.model_dump_json() if isinstance(body, BaseModel) else json.dumps(body)).encode()


def _problem(status: int, code: str, detail: str) -> bytes:
    return _json({"title": code, "status": status, "code": code, "detail": detail})
