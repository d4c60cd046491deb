"""The client over real HTTP: typed answers, typed errors, and streams that survive a broken connection."""

import hashlib
import socket
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Self

import pytest
from support.records import JOB_ID, NOON, RUN_ID, event_view, job_view, record, run_view
from support.scripted_leader import TOKEN, Reply, ScriptedLeader, scripted_leader

from cli.client import Client
from cli.connection import Connection
from cli.downloads import save
from cli.errors import NoLeader
from cli.follow import follow_job, records_of
from cli.uploads import import_packaged_models, newest_ready, push_model
from shared.errors import (
    Conflict,
    Forbidden,
    IdempotencyMismatch,
    InferBenchError,
    InvalidInput,
    InvalidJobFile,
    NotFound,
    Problem,
    Unauthenticated,
    Unavailable,
)
from shared.jobs.lifecycle import RunState
from shared.wire.views import JobView, ModelView, Page, RecordView

EVENTS = f"/api/v1/runs/{RUN_ID}/events"
RUN = f"/api/v1/runs/{RUN_ID}"
JOB = f"/api/v1/jobs/{JOB_ID}"


@pytest.fixture
def leader() -> Iterator[ScriptedLeader]:
    """A leader that does as it is told."""
    with scripted_leader() as running:
        yield running


@pytest.fixture
def pauses() -> list[float]:
    """How long the client would have slept."""
    return []


@pytest.fixture
def client(leader: ScriptedLeader, pauses: list[float]) -> Iterator[Client]:
    """A client that does not really sleep."""
    with Client(Connection(leader.url, TOKEN), sleep=pauses.append) as connected:
        yield connected


class Told:
    """A reporter that remembers."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.phases: list[str] = []

    def line(self, text: str) -> None:
        self.lines.append(text)

    def at(self, phase: str, done: float) -> None:
        assert 0 <= done <= 1
        self.phases.append(phase)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass


def model(version: int, state: str = "ready", name: str = "m", sha256: str = "") -> ModelView:
    """A model version as the leader shows it."""
    return ModelView(name=name, version=version, state=state, sha256=sha256, size_bytes=3, card={}, created_at=NOON)


def test_a_job_is_submitted_as_it_was_written(leader: ScriptedLeader, client: Client) -> None:
    """The file's bytes, its type, the key and the token arrive; the answer is typed."""
    leader.answers("POST", "/api/v1/jobs", job_view(run_view()), status=201)
    assert client.submit(b"name: x # kept\n", idempotency_key="k-1").id == JOB_ID
    [asked] = leader.asked
    assert asked.body == b"name: x # kept\n"
    assert asked.headers["content-type"] == "application/yaml"
    assert asked.headers["idempotency-key"] == "k-1"
    assert asked.headers["authorization"] == f"Bearer {TOKEN}"


def test_a_submit_whose_answer_is_lost_is_sent_again_under_its_key(leader: ScriptedLeader, client: Client) -> None:
    """The leader knows by the key that it is the same job."""
    leader.will("POST", "/api/v1/jobs", Reply(201, b"{", cut=True))
    leader.answers("POST", "/api/v1/jobs", job_view(run_view()))
    assert client.submit(b"x", idempotency_key="k-1").id == JOB_ID
    assert [asked.headers["idempotency-key"] for asked in leader.asked] == ["k-1", "k-1"]


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (422, "invalid-job-file", InvalidJobFile),
        (404, "not-found", NotFound),
        (409, "conflict", Conflict),
        (409, "idempotency-mismatch", IdempotencyMismatch),
        (401, "unauthenticated", Unauthenticated),
        (403, "forbidden", Forbidden),
        (503, "unavailable", Unavailable),
        (418, "of-a-newer-leader", InferBenchError),
    ],
)
def test_a_problem_comes_out_as_the_leaf_of_its_code(
    leader: ScriptedLeader, client: Client, status: int, code: str, expected: type[InferBenchError]
) -> None:
    """Code, detail and problems survive the wire."""
    problem = Problem(message="unknown key", path="servce", line=5, column=1, suggestion="service")
    leader.refuses("GET", JOB, status, code, "what is wrong", problems=[problem.model_dump()])
    with pytest.raises(InferBenchError, match="what is wrong") as caught:
        client.job(JOB_ID)
    assert type(caught.value) is expected
    assert caught.value.problems == (problem,)


@pytest.mark.parametrize(
    ("status", "expected"), [(404, NotFound), (502, InferBenchError), (503, Unavailable), (422, InvalidInput)]
)
def test_an_answer_that_is_no_problem_document_is_judged_by_its_status(
    leader: ScriptedLeader, client: Client, status: int, expected: type[InferBenchError]
) -> None:
    """A proxy in between does not speak our language."""
    leader.will("GET", JOB, Reply(status, b"<html>"))
    with pytest.raises(InferBenchError, match=f"HTTP {status}") as caught:
        client.job(JOB_ID)
    assert type(caught.value) is expected


def test_an_answer_of_another_shape_is_told_as_such(leader: ScriptedLeader, client: Client) -> None:
    """Some other service on the port is not mistaken for a leader, and gives no traceback."""
    leader.answers("GET", JOB, {"hello": "world"})
    leader.will("GET", "/api/v1/version", Reply(200, b"[1]"))
    with pytest.raises(Unavailable, match="is not a JobView"):
        client.job(JOB_ID)
    with pytest.raises(Unavailable, match="not a JSON object"):
        client.version()


def test_nobody_at_the_address_is_told_at_once() -> None:
    """A refused connection is not worth waiting for: nothing was sent."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    pauses: list[float] = []
    nobody = Connection(f"http://127.0.0.1:{port}", TOKEN)
    with Client(nobody, sleep=pauses.append) as client, pytest.raises(NoLeader, match=str(port)):
        client.submit(b"x", idempotency_key="k")
    assert pauses == []


def test_a_segment_of_a_path_cannot_become_two(leader: ScriptedLeader, client: Client) -> None:
    """Whatever a user types as an id stays one segment."""
    with pytest.raises(NotFound):
        client.job("../followers?x=1")
    assert leader.asked[0].path == "/api/v1/jobs/../followers?x=1"  # unquoted by the test's server: it came as one


def test_all_pages_are_read_up_to_the_limit(leader: ScriptedLeader, client: Client) -> None:
    """The cursor leads on; the limit ends it; filters that were not given are not sent."""
    first, second = (Page[JobView](items=(job_view(),) * 2, next_cursor=cursor) for cursor in ("c-2", None))
    leader.answers("GET", "/api/v1/jobs", first, second)
    assert len(client.jobs(limit=3, team="vision", name=None)) == 3
    assert [asked.query for asked in leader.asked] == [
        {"team": "vision", "limit": "3"},
        {"team": "vision", "limit": "1", "cursor": "c-2"},
    ]


def test_events_go_on_where_a_broken_stream_stopped(
    leader: ScriptedLeader, client: Client, pauses: list[float]
) -> None:
    """No event is lost or told twice; the end is believed only when the run has ended."""
    leader.tells(EVENTS, ("queued", event_view("0.0", "queued")), ("claimed", event_view("1.0", "claimed")), cut=True)
    leader.tells(EVENTS, ("measuring", event_view("1.1", "measuring")))
    leader.tells(EVENTS, ("succeeded", event_view("1.9", "succeeded")))
    leader.answers("GET", RUN, run_view(state=RunState.RUNNING), run_view())
    assert [event.kind for event in client.events(RUN_ID)] == ["queued", "claimed", "measuring", "succeeded"]
    sent = [asked.headers.get("last-event-id") for asked in leader.requests("GET", EVENTS)]
    assert sent == [None, "1.0", "1.1"]
    assert len(pauses) == 2


def test_a_stream_that_never_brings_anything_is_given_up(
    leader: ScriptedLeader, client: Client, pauses: list[float]
) -> None:
    """The pauses grow, and there are few of them."""
    leader.will("GET", EVENTS, Reply(503, b""))
    with pytest.raises(Unavailable):
        list(client.events(RUN_ID))
    assert pauses == sorted(pauses)
    assert 1 < sum(pauses) < 30


def test_a_single_run_is_followed_event_by_event(leader: ScriptedLeader, client: Client) -> None:
    """Lines carry the time since the run was queued."""
    leader.answers("GET", JOB, job_view(run_view(state=RunState.QUEUED), state="queued"), job_view(run_view()))
    leader.tells(
        EVENTS,
        ("queued", event_view("0.0", "queued")),
        ("measuring", event_view("1.1", "measuring", "20 req/s", NOON + timedelta(seconds=3.25))),
    )
    leader.answers("GET", RUN, run_view())
    told = Told()
    assert follow_job(client, JOB_ID, told).state == "succeeded"
    assert told.lines == ["+   0.0 s  queued", "+   3.2 s  measuring         20 req/s"]
    assert told.phases == ["queued", "measuring"]


def test_a_kind_that_repeats_gets_a_line_now_and_then(leader: ScriptedLeader, client: Client) -> None:
    """A tick a second moves the bar; a log gets one line in five seconds."""
    leader.answers("GET", JOB, job_view(run_view()))
    ticks = [event_view(f"1.{n}", "measuring", f"{n} of 9 s", NOON + timedelta(seconds=n)) for n in range(1, 10)]
    leader.tells(EVENTS, *(("measuring", tick) for tick in ticks))
    leader.answers("GET", RUN, run_view())
    told = Told()
    follow_job(client, JOB_ID, told)
    assert [line.split("measuring")[1].strip() for line in told.lines] == ["1 of 9 s", "6 of 9 s"]
    assert len(told.phases) == 9


def test_a_sweep_is_followed_by_the_states_of_its_runs(
    leader: ScriptedLeader, client: Client, pauses: list[float]
) -> None:
    """Each move of a run is told once."""
    queued, running = run_view(1, RunState.QUEUED, follower=None), run_view(1, RunState.RUNNING)
    leader.answers(
        "GET",
        JOB,
        job_view(run_view(0), queued, state="running"),
        job_view(run_view(0), running, state="running"),
        job_view(run_view(0), run_view(1)),
    )
    told = Told()
    follow_job(client, JOB_ID, told, sleep=pauses.append)
    assert told.lines == [
        f"{JOB_ID}.0000  succeeded on local",
        f"{JOB_ID}.0001  queued",
        f"{JOB_ID}.0001  running on local",
        f"{JOB_ID}.0001  succeeded on local",
    ]
    assert told.phases[-1] == "2 of 2 runs"
    assert len(pauses) == 2


def test_a_record_may_come_a_moment_after_its_run(leader: ScriptedLeader, client: Client, pauses: list[float]) -> None:
    """A record is derived after the run has succeeded: not found is asked again, for a while."""
    leader.refuses("GET", f"{RUN}/record", 404, "not-found", "no record yet")
    leader.answers("GET", f"{RUN}/record", RecordView(run_id=RUN_ID, record=record()))
    others = [run_view(1, RunState.FAILED), run_view(2, no_record="nothing was delivered")]
    [view] = records_of(client, [run_view(), *others], sleep=pauses.append)
    assert view.record == record()
    assert len(pauses) == 1


def test_an_invalid_run_has_a_record_too(leader: ScriptedLeader, client: Client) -> None:
    """It says why it proves nothing."""
    leader.answers("GET", f"{RUN}/record", RecordView(run_id=RUN_ID, record=record()))
    assert len(records_of(client, [run_view(0, RunState.INVALID)])) == 1


def test_a_model_is_pushed_by_digest_and_bytes(leader: ScriptedLeader, client: Client, tmp_path: Path) -> None:
    """Registered with length and digest first, then streamed to the version that was given out."""
    path, content = tmp_path / "m.onnx", b"onnx" * 1_000_000
    path.write_bytes(content)
    leader.answers("POST", "/api/v1/models", model(3, "pending"), status=201)
    leader.answers("PUT", "/api/v1/models/m/versions/3/content", model(3))
    assert push_model(client, path, name="m", card={"task": "t"}).state == "ready"
    registered, uploaded = leader.asked
    assert f'"sha256":"{hashlib.sha256(content).hexdigest()}"' in registered.body.decode().replace(": ", ":")
    assert uploaded.body == content


def test_a_packaged_model_is_imported_once(leader: ScriptedLeader, client: Client) -> None:
    """The second import finds the same bytes registered and sends nothing."""
    leader.answers("GET", "/api/v1/models", Page[ModelView](items=()))
    leader.answers("POST", "/api/v1/models", model(1, "pending", "ppocr-rec"), status=201)
    leader.answers("PUT", "/api/v1/models/ppocr-rec/versions/1/content", model(1, name="ppocr-rec"))
    import_packaged_models(client, "ppocr-rec")
    [uploaded] = leader.requests("PUT", "/api/v1/models/ppocr-rec/versions/1/content")
    there = model(1, name="ppocr-rec", sha256=hashlib.sha256(uploaded.body).hexdigest())
    leader.answers("GET", "/api/v1/models", Page[ModelView](items=(there,)))
    client.models()  # uses up the first answer of that route
    assert import_packaged_models(client, "ppocr-rec") == [there]
    assert len(leader.requests("POST", "/api/v1/models")) == 1


def test_the_newest_ready_version_of_exactly_that_name_is_chosen(leader: ScriptedLeader, client: Client) -> None:
    """The leader's search also finds other names, and versions that are not ready."""
    found = (model(2), model(9, name="m-other"), model(10), model(11, "pending"), model(12, "refused"))
    leader.answers("GET", "/api/v1/models", Page[ModelView](items=found))
    assert newest_ready(client, "m").version == 10
    with pytest.raises(NotFound, match="'absent'"):
        newest_ready(client, "absent")


def test_a_download_is_whole_or_not_there(leader: ScriptedLeader, client: Client, tmp_path: Path) -> None:
    """A broken connection and wrong bytes both leave no file behind."""
    leader.will("GET", f"{RUN}/samples", Reply(200, b"PAR1", cut=True))
    path = tmp_path / "samples.parquet"
    with pytest.raises(Unavailable):
        save(client.samples(RUN_ID), path)
    with pytest.raises(Unavailable, match="sha256"):
        save([b"wrong"], path, sha256="0" * 64)
    assert list(tmp_path.iterdir()) == []
    save([b"ri", b"ght"], path, sha256=hashlib.sha256(b"right").hexdigest())
    assert path.read_bytes() == b"right"
