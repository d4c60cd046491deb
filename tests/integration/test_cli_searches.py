"""Searches, traces and evidence from the command line, against a leader that does as it is told."""

from pathlib import Path
from typing import Any

import pytest
from support.records import JOB_ID, RUN_ID, job_view, record, run_view
from support.scripted_leader import Reply, ScriptedLeader
from support.typed_commands import Inferbench

from cli import follow
from shared.jobs.lifecycle import RunState
from shared.wire.views import DatasetView, JobView, ProbeView, RecordView, SearchView

JOB = f"/api/v1/jobs/{JOB_ID}"
SECOND = f"{JOB_ID}.0001"
SEARCH_FILE = """\
name: limit
model: {generate: {family: fc}}
workload: {pattern: search, slo: {p99_ms: 50}}
"""


@pytest.fixture(autouse=True)
def _search_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A job file that searches, in the folder of the command; its progress is looked at often."""
    monkeypatch.setattr(follow, "_LOOK_EVERY_S", 0.01)
    (tmp_path / "job.yaml").write_text(SEARCH_FILE)


def looks(*, found: bool = True) -> list[JobView]:
    """The job as it is seen: a probe, none in between, another one, the answer."""
    met = ProbeView(run_id=RUN_ID, rate_rps=10, outcome="met" if found else "missed", reason="p99_ms 30 (limit 50)")
    open_, missed = (
        ProbeView(run_id=RUN_ID, rate_rps=10),
        ProbeView(run_id=SECOND, rate_rps=20, outcome="missed", reason="p99_ms 90 (limit 50)"),
    )
    answer = {"state": "found", "rate_rps": 10, "low_rps": 10, "high_rps": 20} if found else {"state": "not-found"}
    first, second = run_view(), run_view(1, id=SECOND)
    return [
        _look(run_view(state=RunState.QUEUED), probes=(open_,), state="queued"),
        _look(first, probes=(open_,)),
        _look(first, run_view(1, RunState.RUNNING, id=SECOND), probes=(met, ProbeView(run_id=SECOND, rate_rps=20))),
        job_view(first, second, searches=(SearchView(probes=(met, missed), **answer),)),
    ]


def _look(*runs: Any, probes: tuple[ProbeView, ...], state: str = "running") -> JobView:
    return job_view(*runs, state=state, searches=(SearchView(state="searching", probes=probes),))


def will_search(leader: ScriptedLeader, *, found: bool = True) -> None:
    """Submit gives a job that searches, which then goes on like that."""
    first, *rest = looks(found=found)
    leader.answers("POST", "/api/v1/jobs", first, status=201)
    leader.answers("GET", JOB, first, *rest)
    for run_id in (RUN_ID, SECOND):
        leader.answers("GET", f"/api/v1/runs/{run_id}/record", RecordView(run_id=run_id, record=record(run_id=run_id)))


def test_run_follows_a_search_until_it_has_its_answer(
    leader: ScriptedLeader, inferbench: Inferbench, capsys: pytest.CaptureFixture[str]
) -> None:
    """It does not stop when the only run has ended; each probe is told once, and the answer comes first."""
    will_search(leader)
    assert inferbench("run", "job.yaml") == 0
    output, errors = capsys.readouterr()
    assert output.splitlines()[0] == (
        "10 req/s is the highest rate found to meet the SLO; the limit lies between 10 and 20 req/s"
    )
    assert [line.split()[:3] for line in output.splitlines()[2:4]] == [[RUN_ID, "10", "met"], [SECOND, "20", "missed"]]
    assert errors.count(f"{RUN_ID}  10 req/s: met") == 1
    assert errors.count(f"{SECOND}  20 req/s: missed") == 1
    assert len(leader.requests("GET", JOB)) == 4


@pytest.mark.parametrize("command", [("submit", "job.yaml", "--wait"), ("watch", JOB_ID)])
def test_waiting_means_until_the_search_has_ended(
    leader: ScriptedLeader, inferbench: Inferbench, command: tuple[str, ...]
) -> None:
    """A rate that nobody found is not what was asked for: code 3."""
    will_search(leader, found=False)
    assert inferbench(*command) == 3


def test_json_of_a_search_is_the_job(
    leader: ScriptedLeader, inferbench: Inferbench, capsys: pytest.CaptureFixture[str]
) -> None:
    """It has the answer, the probes and the runs."""
    will_search(leader)
    assert inferbench("run", "job.yaml", "-o", "json") == 0
    assert JobView.model_validate_json(capsys.readouterr().out) == looks()[-1]


def test_get_shows_a_search_as_it_stands(
    leader: ScriptedLeader, inferbench: Inferbench, capsys: pytest.CaptureFixture[str]
) -> None:
    """Beneath the heading, above the runs."""
    leader.answers("GET", JOB, looks()[2])
    assert inferbench("get", JOB_ID) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == "searching, probe 2 at 20 req/s"
    assert lines[5].split()[0] == "RUN"


def test_a_trace_is_pushed_like_a_dataset(
    leader: ScriptedLeader, inferbench: Inferbench, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The bytes go as they are; what came of them is shown."""
    (tmp_path / "trace.csv").write_bytes(b"timestamp\n0\n2\n")
    trace = DatasetView(name="morning", version=1, builtin=False, kind="trace", requests=2, span_s=2, size_bytes=14)
    leader.answers("POST", "/api/v1/datasets", trace, status=201)
    leader.answers("PUT", "/api/v1/datasets/morning/versions/1/content", trace)
    assert inferbench("datasets", "push", "trace.csv", "--name", "morning") == 0
    assert leader.requests("PUT", "/api/v1/datasets/morning/versions/1/content")[0].body == b"timestamp\n0\n2\n"
    assert capsys.readouterr().out.splitlines()[1].split()[:4] == ["morning", "1", "trace", "uploaded"]


def test_a_refused_trace_says_its_line(
    leader: ScriptedLeader, inferbench: Inferbench, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """On standard error, with the exit code of bad input."""
    (tmp_path / "trace.csv").write_bytes(b"timestamp\n2\n1\n")
    leader.answers("POST", "/api/v1/datasets", DatasetView(name="m", version=1, builtin=False), status=201)
    path = "/api/v1/datasets/m/versions/1/content"
    leader.refuses("PUT", path, 422, "invalid-input", "not Parquet, so no dataset, and no trace: line 3, column 1: no")
    assert inferbench("datasets", "push", "trace.csv", "--name", "m") == 2
    assert "line 3" in capsys.readouterr().err


def test_samples_of_one_attempt_can_be_asked_for(
    leader: ScriptedLeader, inferbench: Inferbench, tmp_path: Path
) -> None:
    """By its number, as a query."""
    path = f"/api/v1/runs/{RUN_ID}/samples"
    leader.will("GET", path, Reply(200, b"PAR1 evidence PAR1"))
    assert inferbench("samples", RUN_ID, "--attempt", "2") == 0
    assert (tmp_path / f"{RUN_ID}.parquet").read_bytes() == b"PAR1 evidence PAR1"
    assert leader.requests("GET", path)[0].query == {"attempt": "2"}
    assert inferbench("samples", RUN_ID) == 0
    assert leader.requests("GET", path)[1].query == {}
