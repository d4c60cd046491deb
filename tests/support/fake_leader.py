"""A small real HTTP server that speaks the follower's routes from memory, with the leader's fences and leases."""

import contextlib
import hashlib
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from shared.wire.assignment import (
    Artifact,
    Assignment,
    Claim,
    LeaseAnswer,
    LeaseCall,
    Progress,
    ProgressEvent,
    Result,
    ResultAnswer,
)
from shared.wire.identity import Heartbeat, Registration, RegistrationAnswer
from shared.wire.views import ProblemDocument

TOKEN = "ib_follower_token-of-the-fake-leader"
ROOT = "/api/v1/followers"


@dataclass
class FakeLeader:
    """What the leader knows, what it was told, and how it is to behave."""

    lease_s: float = 15.0
    heartbeat_s: float = 5.0
    poll_s: float = 0.1
    broker_url: str | None = None
    is_down: bool = False  # connections are closed without an answer
    turned_away: int = 0  # calls while it was down
    lost_answers: list[str] = field(default_factory=list)  # routes whose next call is heard and not answered
    refuses_records: bool = False
    url: str = ""
    queue: deque[Assignment] = field(default_factory=deque)
    fences: dict[str, int] = field(default_factory=dict)
    renewed_at_ns: dict[str, int] = field(default_factory=dict)
    started: set[str] = field(default_factory=set)
    registrations: list[Registration] = field(default_factory=list)
    heartbeats: list[Heartbeat] = field(default_factory=list)
    progress: dict[str, list[ProgressEvent]] = field(default_factory=dict)
    artifacts: dict[str, dict[str, bytes]] = field(default_factory=dict)  # run -> kind -> bytes
    results: list[tuple[str, Result, bool]] = field(default_factory=list)
    blobs: dict[str, bytes] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    slow_s: dict[str, float] = field(default_factory=dict)  # route -> how long its answer takes

    def submit(self, assignment: Assignment) -> None:
        self.fences[assignment.run_id] = assignment.fence
        self.queue.append(assignment)

    def cancel(self, run_id: str) -> None:
        """Final at once: the fence grows."""
        self.fences[run_id] += 1

    def result_of(self, run_id: str) -> tuple[Result, bool] | None:
        return next(((result, accepted) for run, result, accepted in self.results if run == run_id), None)

    def wait_for(self, condition: Callable[["FakeLeader"], object], timeout_s: float = 20.0) -> None:
        deadline = time.monotonic() + timeout_s
        while not condition(self):
            assert time.monotonic() < deadline, f"not within {timeout_s} s; calls so far: {self.calls[-20:]}"
            time.sleep(0.02)


class Refusal(Exception):
    """An answer that is a problem."""

    def __init__(self, status: int, code: str) -> None:
        self.document = ProblemDocument(title=code, status=status, code=code, detail=code)


class Handler(BaseHTTPRequestHandler):
    """One request; ``leader`` is set on the class made for each server."""

    leader: FakeLeader
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self._answer()

    def do_PUT(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def log_message(self, *_args: Any) -> None:
        """The test that fails shows the calls itself."""

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.leader.is_down:
            self.leader.turned_away += 1
            self.close_connection = True
            return
        url = urlsplit(self.path)
        parts = url.path.removeprefix(ROOT).strip("/").split("/")
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        route = parts[3] if len(parts) > 3 else parts[-1] if parts[0] else "register"
        route = "blobs" if "blobs" in parts else route
        self.leader.calls.append(route)
        time.sleep(self.leader.slow_s.get(route, 0.0))
        try:
            self._require_token()
            status, content = getattr(self, f"_{route}")(parts, query, body)
        except Refusal as refusal:
            status, content = refusal.document.status, refusal.document.model_dump_json().encode()
        if route in self.leader.lost_answers:
            self.leader.lost_answers.remove(route)
            self.close_connection = True
            return
        with contextlib.suppress(ConnectionError):  # a caller that did not wait
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    def _register(self, _parts: list[str], _query: dict[str, str], body: bytes) -> tuple[int, bytes]:
        registration = Registration.model_validate_json(body)
        self.leader.registrations.append(registration)
        answer = RegistrationAnswer(
            follower=registration.name,
            lease_s=self.leader.lease_s,
            heartbeat_s=self.leader.heartbeat_s,
            poll_s=self.leader.poll_s,
            broker_url=self.leader.broker_url,
            bell_queue=f"inferbench.bell.{registration.name}",
        )
        return 200, answer.model_dump_json().encode()

    def _heartbeat(self, _parts: list[str], _query: dict[str, str], body: bytes) -> tuple[int, bytes]:
        self.leader.heartbeats.append(Heartbeat.model_validate_json(body))
        return 204, b""

    def _claim(self, _parts: list[str], _query: dict[str, str], body: bytes) -> tuple[int, bytes]:
        Claim.model_validate_json(body)
        if not self.leader.queue:
            return 204, b""
        assignment = self.leader.queue.popleft()
        self.leader.renewed_at_ns[assignment.run_id] = time.monotonic_ns()
        return 200, assignment.model_dump_json().encode()

    def _lease(self, parts: list[str], _query: dict[str, str], body: bytes) -> tuple[int, bytes]:
        call = LeaseCall.model_validate_json(body)
        self._require_fence(parts[2], call.fence)
        self.leader.renewed_at_ns[parts[2]] = time.monotonic_ns()
        if call.started:
            self.leader.started.add(parts[2])
        return 200, LeaseAnswer(lease_s=self.leader.lease_s).model_dump_json().encode()

    def _progress(self, parts: list[str], _query: dict[str, str], body: bytes) -> tuple[int, bytes]:
        progress = Progress.model_validate_json(body)
        self._require_fence(parts[2], progress.fence)
        known = self.leader.progress.setdefault(parts[2], [])
        known += [event for event in progress.events if event.n not in {item.n for item in known}]
        return 204, b""

    def _artifacts(self, parts: list[str], query: dict[str, str], body: bytes) -> tuple[int, bytes]:
        self._require_fence(parts[2], int(query["fence"]))
        sha256 = hashlib.sha256(body).hexdigest()
        assert sha256 == query["sha256"]
        self.leader.artifacts.setdefault(parts[2], {})[parts[4]] = body
        artifact = Artifact.model_validate({"kind": parts[4], "sha256": sha256, "size_bytes": len(body)})
        return 201, artifact.model_dump_json().encode()

    def _result(self, parts: list[str], _query: dict[str, str], body: bytes) -> tuple[int, bytes]:
        result = Result.model_validate_json(body)
        if self.leader.refuses_records and result.outcome.kind == "success":
            raise Refusal(422, "invalid-input")
        accepted = self.leader.fences.get(parts[2]) == result.fence
        self.leader.results.append((parts[2], result, accepted))
        return 200, ResultAnswer(accepted=accepted, state="succeeded").model_dump_json().encode()

    def _blobs(self, parts: list[str], _query: dict[str, str], _body: bytes) -> tuple[int, bytes]:
        if parts[-1] not in self.leader.blobs:
            raise Refusal(404, "not-found")
        return 200, self.leader.blobs[parts[-1]]

    def _require_token(self) -> None:
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            raise Refusal(401, "unauthenticated")

    def _require_fence(self, run_id: str, fence: int) -> None:
        if self.leader.fences.get(run_id) != fence:
            raise Refusal(409, "stale-fence")


@contextmanager
def fake_leader(**behaviour: Any) -> Iterator[FakeLeader]:
    """A leader that listens on loopback until the block ends."""
    leader = FakeLeader(**behaviour)
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("BoundHandler", (Handler,), {"leader": leader}))
    server.daemon_threads = True
    leader.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield leader
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
