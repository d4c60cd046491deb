"""The commands as a user types them: what goes to which stream, and the exit code."""

import json
import os
import signal
import subprocess
import sys
import time
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML
from support.records import JOB_ID, RUN_ID, event_view, job_view, record, run_view
from support.scripted_leader import Reply, ScriptedLeader, token_file
from support.typed_commands import Inferbench

from cli.main import run
from model_repo.savedmodel_tar import check_savedmodel
from shared.jobs.lifecycle import Cause, RunState
from shared.measure.record import Record, SloCheck
from shared.wire.views import JobView, ModelView, Page, RecordView, RunView

JOB = f"/api/v1/jobs/{JOB_ID}"
RUN = f"/api/v1/runs/{RUN_ID}"
GOOD_FILE = """\
apiVersion: inferbench/v1
kind: Job
name: tiny
model: {generate: {family: fc}}
workload: {pattern: closed}
"""


@pytest.fixture
def job_file(tmp_path: Path) -> str:
    """A good job file."""
    path = tmp_path / "job.yaml"
    path.write_text(GOOD_FILE)
    return str(path)


def will_end(leader: ScriptedLeader, ended: RunView, result: Record | None) -> None:
    """Submit gives a job with one run, which then ends like this."""
    leader.answers("POST", "/api/v1/jobs", job_view(run_view(state=RunState.QUEUED), state="queued"), status=201)
    leader.answers("GET", JOB, job_view(ended, state=str(ended.state)))
    leader.tells(f"{RUN}/events", (str(ended.state), event_view("1.1", str(ended.state), "the end")))
    leader.answers("GET", RUN, ended)
    if result is not None:
        leader.answers("GET", f"{RUN}/record", RecordView(run_id=RUN_ID, record=result))


def test_run_shows_the_verdict_on_standard_output(
    leader: ScriptedLeader, inferbench: Inferbench, job_file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The story goes to standard error, the result to standard output, the exit code is 0."""
    will_end(leader, run_view(), record())
    assert inferbench("run", job_file) == 0
    output, errors = capsys.readouterr()
    assert output.splitlines()[0].startswith("verdict     STABLE")
    assert f"run         {RUN_ID} · quickstart" in output.splitlines()
    assert len(output.splitlines()) < 25
    assert "succeeded         the end" in errors
    assert leader.requests("POST", "/api/v1/jobs")[0].body == GOOD_FILE.encode()


def test_an_unmet_slo_is_code_3(leader: ScriptedLeader, inferbench: Inferbench, job_file: str) -> None:
    """A script can tell "ran, but too slow" from "did not run"."""
    will_end(leader, run_view(), record(slo=(SloCheck(limit="p99_ms", allowed=1, measured=31.2, met=False),)))
    assert inferbench("run", job_file) == 3


def test_a_failed_run_is_code_1_and_says_why(
    leader: ScriptedLeader, inferbench: Inferbench, job_file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Cause, detail and the end of the log, no traceback."""
    failed = run_view(state=RunState.FAILED, cause=Cause.SERVER_DIED, detail="signal SIGKILL", log_tail="out of luck")
    will_end(leader, failed, None)
    assert inferbench("run", job_file) == 1
    output, _ = capsys.readouterr()
    assert "server-died: signal SIGKILL" in output
    assert "out of luck" in output


def test_a_job_cancelled_by_somebody_else_is_code_130(
    leader: ScriptedLeader, inferbench: Inferbench, job_file: str
) -> None:
    """Cancelled is neither a success nor a failure."""
    will_end(leader, run_view(state=RunState.CANCELLED, cause=Cause.CANCELLED_BY_USER), None)
    assert inferbench("submit", job_file, "--wait") == 130


def test_json_is_the_apis_own_model(
    leader: ScriptedLeader, inferbench: Inferbench, job_file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """What ``-o json`` prints can be read back as a page of records, and nothing else is on standard output."""
    will_end(leader, run_view(), record())
    assert inferbench("run", job_file, "-o", "json") == 0
    page = Page[RecordView].model_validate_json(capsys.readouterr().out)
    assert page.items[0].record == record()


def test_yaml_says_the_same_as_json(
    leader: ScriptedLeader, inferbench: Inferbench, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two spellings of one result, keys in the order of the model."""
    leader.answers("GET", "/api/v1/jobs", Page[JobView](items=(job_view(run_view()),)))
    spelt: dict[str, Any] = {}
    for form, parse in (("json", json.loads), ("yaml", YAML(typ="safe", pure=True).load)):
        assert inferbench("list", "-o", form) == 0
        spelt[form] = parse(capsys.readouterr().out)
    assert spelt["yaml"] == spelt["json"]
    assert list(spelt["yaml"]["items"][0])[:3] == ["id", "name", "team"]


def test_submit_does_not_wait(
    leader: ScriptedLeader, inferbench: Inferbench, job_file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The job's id is printed and the command ends; the key that was given is sent."""
    leader.answers("POST", "/api/v1/jobs", job_view(run_view(state=RunState.QUEUED), state="queued"), status=201)
    assert inferbench("submit", job_file, "--idempotency-key", "nightly-7") == 0
    assert capsys.readouterr().out.startswith(f"{JOB_ID}  quickstart  queued")
    assert leader.asked[0].headers["idempotency-key"] == "nightly-7"
    assert len(leader.asked) == 1


def test_each_submit_has_a_key_of_its_own(leader: ScriptedLeader, inferbench: Inferbench, job_file: str) -> None:
    """Submitting a file twice on purpose gives two jobs."""
    leader.answers("POST", "/api/v1/jobs", job_view(), status=201)
    for _ in range(2):
        inferbench("submit", job_file)
    first, second = (asked.headers["idempotency-key"] for asked in leader.asked)
    assert first != second


def test_problems_of_a_job_file_are_placed_in_it(
    inferbench: Inferbench, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """File, line, column, path and the nearest name; exit code 2; no leader is asked."""
    path = tmp_path / "bad.yaml"
    path.write_text(GOOD_FILE.replace("workload:", "worklaod:"))
    assert inferbench("validate", str(path)) == 2
    errors = capsys.readouterr().err
    assert errors.startswith("error: The job file is not valid (invalid-job-file)\n")
    assert f"{path}:5:1: worklaod: unknown key" in errors
    assert "did you mean 'workload'?" in errors


def test_problems_that_the_leader_finds_are_placed_the_same_way(
    leader: ScriptedLeader, inferbench: Inferbench, job_file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """It makes no difference to the reader who found it."""
    problem = {"message": "no follower has it", "path": "service.platform", "line": 4, "column": 3}
    leader.refuses("POST", "/api/v1/jobs", 422, "not-available", "Not available on any follower", problems=[problem])
    assert inferbench("run", job_file) == 2
    assert f"{job_file}:4:3: service.platform: no follower has it" in capsys.readouterr().err


def test_a_dash_reads_standard_input(tmp_path: Path) -> None:
    """``-`` works wherever a file does."""
    ran = subprocess.run(
        [sys.executable, "-m", "cli", "validate", "-"], input=GOOD_FILE, capture_output=True, text=True, check=False,
        cwd=tmp_path,
    )  # fmt: skip
    assert (ran.returncode, ran.stdout) == (0, "<stdin>: valid\n")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["get", "j-nothing"], 5, "not-found"),
        (["validate", "/no/such/file.yaml"], 2, "unreadable-file"),
        (["frobnicate"], 2, "No such command"),
        (["list", "--frob"], 2, "inferbench list --help"),
        (["list", "--limit", "0"], 2, "--limit"),
    ],
)
def test_what_went_wrong_decides_the_code(
    inferbench: Inferbench, capsys: pytest.CaptureFixture[str], words: list[str], code: int, said: str
) -> None:
    """Typed errors, on standard error, without traceback."""
    assert inferbench(*words) == code
    output, errors = capsys.readouterr()
    assert output == ""
    assert said in errors
    assert "Traceback" not in errors


def test_a_wrong_token_is_code_4(
    leader: ScriptedLeader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """So is no token at all, and no leader at all is code 1."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("INFERBENCH_URL", leader.url)
    assert run(["list"]) == 4
    assert "INFERBENCH_TOKEN" in capsys.readouterr().err
    monkeypatch.setenv("INFERBENCH_TOKEN", "wrong")
    assert run(["list"]) == 4
    monkeypatch.delenv("INFERBENCH_URL")
    assert run(["list"]) == 1
    assert "inferbench up" in capsys.readouterr().err


def test_an_unexpected_error_leaves_its_traceback_in_a_file(
    inferbench: Inferbench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The user sees one sentence and a path; with --debug, the traceback."""

    def broken() -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr("shared.jobs.schema.job_json_schema", broken)
    (tmp_path / ".inferbench" / "logs").mkdir(parents=True)
    assert inferbench("schema") == 1
    said = capsys.readouterr().err
    assert "RuntimeError: a bug" in said
    assert "Traceback" not in said
    [log] = (tmp_path / ".inferbench" / "logs").iterdir()
    assert "Traceback" in log.read_text()
    assert inferbench("--debug", "schema") == 1
    assert "Traceback" in capsys.readouterr().err


def test_a_runs_log_and_samples_come_byte_for_byte(
    leader: ScriptedLeader, inferbench: Inferbench, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    """The log on standard output, the samples in a file named after the run; a job's id means its only run."""
    leader.will("GET", f"{RUN}/log", Reply(200, b"line 1\n\xff\n"))
    leader.will("GET", f"{RUN}/samples", Reply(200, b"PAR1...PAR1"))
    leader.answers("GET", JOB, job_view(run_view()))
    assert inferbench("logs", RUN_ID) == 0
    assert capfdbinary.readouterr().out == b"line 1\n\xff\n"
    assert inferbench("samples", JOB_ID) == 0
    assert (tmp_path / f"{RUN_ID}.parquet").read_bytes() == b"PAR1...PAR1"


def test_a_job_of_many_runs_asks_which_one(
    leader: ScriptedLeader, inferbench: Inferbench, capsys: pytest.CaptureFixture[str]
) -> None:
    """A log has one run: the message names the first few."""
    leader.answers("GET", JOB, job_view(run_view(0), run_view(1)))
    assert inferbench("logs", JOB_ID) == 2
    assert f"{JOB_ID}.0001" in capsys.readouterr().err


def test_deleting_a_model_asks_first(
    leader: ScriptedLeader, inferbench: Inferbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a yes nothing is sent; ``--yes`` says it beforehand."""
    leader.answers("DELETE", "/api/v1/models/m/versions/2", {}, status=204)
    monkeypatch.setattr("typer.confirm", lambda *_, **__: False)
    assert inferbench("models", "rm", "m", "--version", "2") == 1
    assert leader.asked == []
    assert inferbench("models", "rm", "m", "--version", "2", "--yes") == 0


def test_a_model_goes_up_and_comes_down(
    leader: ScriptedLeader, inferbench: Inferbench, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Push prints the version; pull writes the file; the card is YAML."""
    (tmp_path / "m.onnx").write_bytes(b"onnx")
    (tmp_path / "card.yaml").write_text("task: demo\nlabels: [a, b]\n")
    parts = {
        "name": "m",
        "version": 1,
        "sha256": None,
        "size_bytes": 4,
        "card": {},
        "created_at": "2026-03-01T00:00:00Z",
    }
    ready, pending = (ModelView.model_validate(parts | {"state": state}) for state in ("ready", "pending"))
    leader.answers("POST", "/api/v1/models", pending, status=201)
    leader.answers("PUT", "/api/v1/models/m/versions/1/content", ready)
    leader.answers("GET", "/api/v1/models", Page[ModelView](items=(ready,)))
    leader.will("GET", "/api/v1/models/m/versions/1/content", Reply(200, b"onnx"))
    assert inferbench("models", "push", "m.onnx", "--name", "m", "--card", "card.yaml") == 0
    assert json.loads(leader.asked[0].body)["card"] == {"task": "demo", "labels": ["a", "b"]}
    assert capsys.readouterr().out.splitlines()[1].split()[:3] == ["m", "1", "ready"]
    assert inferbench("models", "pull", "m") == 0
    assert (tmp_path / "m-1.onnx").read_bytes() == b"onnx"


def test_the_folder_of_a_savedmodel_goes_up_as_an_archive(
    leader: ScriptedLeader, inferbench: Inferbench, tmp_path: Path
) -> None:
    """The card says of which format it is; a folder that is none is refused before the leader is asked."""
    for name in ("saved_model.pb", "variables/variables.index"):
        (tmp_path / "saved" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "saved" / name).write_bytes(b"x")
    parts = {"name": "m", "version": 1, "sha256": None, "size_bytes": 4, "card": {}}
    view = ModelView.model_validate({**parts, "created_at": "2026-03-01T00:00:00Z", "state": "ready"})
    leader.answers("POST", "/api/v1/models", view, status=201)
    leader.answers("PUT", "/api/v1/models/m/versions/1/content", view)
    assert inferbench("models", "push", ".", "--name", "m") != 0
    assert leader.asked == []
    assert inferbench("models", "push", "saved", "--name", "m") == 0
    assert json.loads(leader.asked[0].body)["card"] == {"format": "savedmodel"}
    assert {entry.path.as_posix() for entry in check_savedmodel(BytesIO(leader.asked[1].body))} == {
        "saved_model.pb",
        "variables",
        "variables/variables.index",
    }


def interrupted(leader: ScriptedLeader, folder: Path, command: str, argument: str) -> tuple[int, str]:
    """The command in a process of its own, with a Ctrl-C once it watches; exit code and standard error."""
    environment = {**os.environ, "INFERBENCH_URL": leader.url}  # noqa: TID251 - a user's shell has PATH and HOME
    with subprocess.Popen(
        [sys.executable, "-m", "cli", "--token-file", str(token_file(folder)), command, argument],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        deadline = time.monotonic() + 30
        while not leader.requests("GET", RUN):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
        return process.returncode, errors


@pytest.fixture
def endless(leader: ScriptedLeader) -> ScriptedLeader:
    """A leader whose run goes on and on."""
    running = run_view(state=RunState.RUNNING)
    leader.answers("POST", "/api/v1/jobs", job_view(running, state="running"), status=201)
    leader.answers("GET", JOB, job_view(running, state="running"))
    leader.answers("GET", RUN, running)
    leader.tells(f"{RUN}/events", ("measuring", event_view("1.1", "measuring")))
    leader.answers("POST", f"{JOB}/cancel", job_view(run_view(state=RunState.CANCELLED), state="cancelled"))
    return leader


def test_ctrl_c_in_run_cancels_the_job(endless: ScriptedLeader, tmp_path: Path, job_file: str) -> None:
    """Who started it stops it: the job is cancelled at the leader, and the code is 130."""
    code, errors = interrupted(endless, tmp_path, "run", job_file)
    assert code == 130
    assert f"{JOB_ID} is cancelled" in errors
    assert "Traceback" not in errors
    assert len(endless.requests("POST", f"{JOB}/cancel")) == 1


def test_ctrl_c_in_watch_leaves_the_job_alone(endless: ScriptedLeader, tmp_path: Path) -> None:
    """Who only watches stops watching."""
    code, errors = interrupted(endless, tmp_path, "watch", RUN_ID)
    assert code == 130
    assert f"inferbench watch {JOB_ID}" in errors
    assert endless.requests("POST", f"{JOB}/cancel") == []
