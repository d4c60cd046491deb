"""The leader as a process: how it starts, refuses, streams, and stops."""

import contextlib
import json
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from support.api_client import (
    TINY_JOB,
    YAML,
    LeaderProcess,
    events_of,
    follower_registration,
    leader_environment,
    leader_process,
    run_leader_to_its_end,
)
from support.mongo_servers import free_port, running_mongo

from leader.auth.roles import Role


@pytest.fixture
def leader(mongo_url: str, tmp_path: Path) -> Iterator[LeaderProcess]:
    """A leader that listens."""
    with leader_process(mongo_url, tmp_path) as running:
        yield running


def submitted_run(leader: LeaderProcess) -> str:
    """A queued run's id."""
    with leader.client(Role.FOLLOWER) as follower:
        follower.post("/api/v1/followers", json=follower_registration().model_dump(mode="json")).raise_for_status()
    with leader.client() as client:
        answer = client.post("/api/v1/jobs", content=TINY_JOB.encode(), headers=YAML)
        assert answer.status_code == 201, answer.text
        return f"{answer.json()['id']}.0000"


def events_in(text: str) -> list[dict[str, str]]:
    """Fields of each event of a stream; comments are left out."""
    blocks = [block.split("\n") for block in text.split("\n\n") if "data:" in block]
    return [dict(line.split(": ", 1) for line in block if line) for block in blocks]


def test_it_speaks_only_in_logs_and_stops_cleanly_on_sigterm(leader: LeaderProcess) -> None:
    """Exit code 0, JSON lines only, the last of which says that it stopped."""
    with leader.client() as client:
        assert client.get("/readyz").json()["status"] == "ready"
    leader.process.send_signal(signal.SIGTERM)
    assert leader.process.wait(timeout=30) == 0
    assert [event["event"] for event in events_of(leader.log)][-1] == "leader.stopped"


def test_a_stream_gives_each_event_once_and_ends_with_the_run(leader: LeaderProcess) -> None:
    """Live from the first event to the last; ids ascend; the end of the run is the end of the stream."""
    run_id = submitted_run(leader)
    received: list[str] = []

    def follow() -> None:
        with leader.client() as client, client.stream("GET", f"/api/v1/runs/{run_id}/events") as stream:
            assert stream.headers["content-type"].startswith("text/event-stream")
            received.extend(stream.iter_text())

    reader = threading.Thread(target=follow)
    reader.start()
    with leader.client() as client:
        client.post(f"/api/v1/runs/{run_id}/cancel").raise_for_status()
    reader.join(timeout=30)
    assert not reader.is_alive()
    events = events_in("".join(received))
    assert events[-1]["event"] == "cancelled"
    assert json.loads(events[-1]["data"])["run_id"] == run_id
    positions = [tuple(map(int, event["id"].split("."))) for event in events]
    assert positions == sorted(set(positions))


def test_a_stream_goes_on_behind_the_last_event_that_was_seen(leader: LeaderProcess) -> None:
    """A client that lost the connection misses nothing and sees nothing twice."""
    run_id = submitted_run(leader)
    with leader.client() as client:
        client.post(f"/api/v1/runs/{run_id}/cancel").raise_for_status()
        url = f"/api/v1/runs/{run_id}/events"
        all_of_it = events_in(client.get(url).text)
        for seen in range(len(all_of_it)):
            rest = events_in(client.get(url, headers={"Last-Event-ID": all_of_it[seen]["id"]}).text)
            assert rest == all_of_it[seen + 1 :]
        assert client.get(url, headers={"Last-Event-ID": "nonsense"}).status_code == 422


def test_stopping_ends_open_streams_at_once(leader: LeaderProcess) -> None:
    """A stream of a run that waits for hours does not hold the leader back."""
    run_id = submitted_run(leader)
    with leader.client() as client, client.stream("GET", f"/api/v1/runs/{run_id}/events") as stream:
        chunks = stream.iter_text()
        assert next(chunks)
        started = time.monotonic()
        leader.process.send_signal(signal.SIGTERM)
        for _ in chunks:
            pass
        assert leader.process.wait(timeout=30) == 0
        assert time.monotonic() - started < 4  # the server itself would cut it only after five seconds


def test_a_taken_port_is_one_clear_line(mongo_url: str, tmp_path: Path) -> None:
    """Exit code 1, the port and what to do; no traceback."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        ended = run_leader_to_its_end(leader_environment(mongo_url, tmp_path, PORT=str(port)))
    assert ended.returncode == 1
    assert ended.stderr.startswith(f"leader: port {port} on 127.0.0.1 is taken")
    assert ended.stderr.count("\n") == 1
    assert ended.stdout == ""


def test_a_database_that_does_not_answer_is_one_clear_line(tmp_path: Path) -> None:
    """Exit code 1; the password of the address is not shown."""
    url = f"mongodb://user:hunter2@127.0.0.1:{free_port()}/inferbench"
    ended = run_leader_to_its_end(leader_environment(url, tmp_path))
    lines = [line for line in ended.stderr.splitlines() if not line.startswith("{")]
    assert ended.returncode == 1
    assert len(lines) == 1
    assert lines[0].startswith("leader: ")
    assert "hunter2" not in ended.stderr
    assert "Traceback" not in ended.stderr


def test_wrong_settings_are_one_clear_line(tmp_path: Path) -> None:
    """Exit code 2, like any invalid input."""
    ended = run_leader_to_its_end(leader_environment("postgres://db", tmp_path))
    assert ended.returncode == 2
    assert "INFERBENCH_MONGO_URL: must start with mongodb://" in ended.stderr
    assert ended.stderr.count("\n") == 1


def test_other_machines_are_not_listened_to_without_tokens(mongo_url: str) -> None:
    """No token directory and no token in the store: nobody could have been let in, so nothing is opened."""
    ended = run_leader_to_its_end(leader_environment(mongo_url, None, HOST="0.0.0.0"))
    assert ended.returncode == 2
    assert "refusing to listen on 0.0.0.0" in ended.stderr
    assert "INFERBENCH_TOKEN_DIR" in ended.stderr


def test_with_tokens_other_machines_may_be_listened_to(mongo_url: str, tmp_path: Path) -> None:
    """And then any Host is answered, since a proxy or a service name may stand before the leader."""
    with leader_process(mongo_url, tmp_path, HOST="0.0.0.0") as leader:
        url = leader.url.replace("0.0.0.0", "127.0.0.1")
        answer = httpx.get(f"{url}/healthz", headers={"Host": "inferbench.lab.example"})
        assert answer.status_code == 200


def test_on_loopback_a_foreign_host_name_is_refused(leader: LeaderProcess) -> None:
    """DNS rebinding: the right token does not help a page that came in under its own name."""
    answer = httpx.get(f"{leader.url}/api/v1/version", headers={"Host": "evil.example", **leader.headers()})
    assert (answer.status_code, answer.json()["code"]) == (400, "bad-request")


def test_readiness_follows_the_database(tmp_path: Path) -> None:
    """Killed: not ready, 503 with Retry-After, still alive. Back again: ready, and the job is still there."""
    with running_mongo("nx") as database, leader_process(database.fresh_url(), tmp_path) as leader:
        run_id = submitted_run(leader)
        with leader.client() as client:
            assert client.get("/readyz").status_code == 200
            database.kill()
            down = client.get("/readyz")
            assert (down.status_code, down.json()["checks"]["database"]) == (503, "does not answer")
            assert client.get("/healthz").status_code == 200
            refused = client.get(f"/api/v1/runs/{run_id}")
            assert (refused.status_code, refused.json()["code"]) == (503, "unavailable")
            assert refused.headers["retry-after"]
            database.start()
            deadline = time.monotonic() + 60
            while client.get("/readyz").status_code != 200:
                assert time.monotonic() < deadline, client.get("/readyz").text
                time.sleep(0.2)
            assert client.get(f"/api/v1/runs/{run_id}").json()["state"] == "queued"


def test_an_oversized_body_gets_its_answer_over_a_real_connection(leader: LeaderProcess) -> None:
    """The caller sees 413, not a broken pipe, whether it names the length or not."""
    with leader.client() as client:
        named = client.post("/api/v1/jobs", content=b"x: 1\n" * 40_000, headers=YAML)
        unnamed = client.post("/api/v1/jobs", content=iter([b"x: 1\n" * 10_000] * 4), headers=YAML)
    assert [(answer.status_code, answer.json()["code"]) for answer in (named, unnamed)] == [(413, "too-large")] * 2


def test_a_refused_body_without_end_is_cut_off(leader: LeaderProcess) -> None:
    """Nobody keeps the leader busy with bytes that it only throws away; with or without a token."""

    def endless() -> Iterator[bytes]:
        while True:
            yield b"x" * 65536

    for headers in (leader.headers(), {}):
        with contextlib.suppress(httpx.NetworkError):  # the answer may get lost where the connection is cut
            answer = httpx.post(f"{leader.url}/api/v1/jobs", content=endless(), headers=headers | YAML, timeout=30)
            assert answer.status_code in {401, 413}


def test_an_upload_that_breaks_off_leaves_a_pending_version(leader: LeaderProcess) -> None:
    """Half a body is not a model: the connection closes in the middle, and nothing becomes ready."""
    host, port = leader.url.removeprefix("http://").split(":")
    with leader.client() as client:
        body = {"name": "half", "sha256": "0" * 64, "size_bytes": 1000}
        client.post("/api/v1/models", json=body).raise_for_status()
        with socket.create_connection((host, int(port))) as connection:
            head = (
                "PUT /api/v1/models/half/versions/1/content HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                f"Authorization: {leader.headers()['Authorization']}\r\nContent-Length: 1000\r\n\r\n"
            )
            connection.sendall(head.encode() + b"x" * 500)
        assert client.get("/api/v1/models/half/versions/1").json()["state"] == "pending"
        assert client.get("/readyz").status_code == 200
