"""compare, recompute and rerun as a user types them, against a leader that keeps records and raw files."""

import json
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq  # type: ignore[import-untyped]
import pytest
from support.raw_files import POISSON, raw_samples, record_of, spec_of
from support.records import JOB_ID, event_view, job_view, record, run_view
from support.scripted_leader import Reply, ScriptedLeader
from support.typed_commands import Inferbench

from cli.comparing import Compared
from cli.recomputing import Recomputed
from shared.jobs.document import read_job
from shared.jobs.lifecycle import RunState
from shared.jobs.spec import RunSpec
from shared.jobs.sweep import expand
from shared.measure.record import Record, Verdict
from shared.measure.samples_file import Samples, write_samples
from shared.wire.views import RecordView, RunView

OTHER_JOB = "j-01jd3z8k5q2w9x7v6t4r3s2a1c"
INVENTORY = {
    "hostname": "lab", "cpu_model": "Zen", "logical_cores": 4, "physical_cores": 4, "memory_bytes": 2**33,
    "kernel": "6.1", "os": "Debian", "governor": None, "versions": {"onnxruntime": "1.20"},
}  # fmt: skip
SLOT = {"name": "cpu-0", "device": "cpu", "server_cores": [0], "client_cores": [1]}
BUSY = {**POISSON, "rate": 2000}


@pytest.fixture
def keep(leader: ScriptedLeader, tmp_path: Path) -> Callable[..., Record]:
    """Gives the leader a run with its record and its raw file."""

    def kept(samples: Samples, made: Record | None = None, *, raw: bytes | None = None, **changes: Any) -> Record:
        path = tmp_path / "kept.parquet"
        write_samples(samples.columns, samples.manifest, path)
        environment = {"inventory": INVENTORY, "slot": SLOT, "pins": {}}
        found = made or record_of(samples, environment=environment).model_copy(update=changes)
        leader.answers("GET", f"/api/v1/runs/{found.run_id}", one_run(found.run_id))
        leader.answers("GET", f"/api/v1/runs/{found.run_id}/record", RecordView(run_id=found.run_id, record=found))
        leader.will("GET", f"/api/v1/runs/{found.run_id}/samples", Reply(200, raw or path.read_bytes()))
        path.unlink()
        return found

    return kept


def one_run(run_id: str) -> RunView:
    """A run that succeeded."""
    return run_view(id=run_id, job_id=run_id.partition(".")[0])


def run_id(job_id: str = JOB_ID, index: int = 0) -> str:
    """The id of a job's run."""
    return f"{job_id}.{index:04d}"


A, B = run_id(), run_id(OTHER_JOB)


def test_a_faster_run_is_called_faster(
    inferbench: Inferbench, keep: Callable[..., Record], capsys: pytest.CaptureFixture[str]
) -> None:
    """The word first, with the interval; then both sides, the effect, and what is not known."""
    keep(raw_samples(BUSY, seed=1, run_id=A))
    keep(raw_samples(BUSY, seed=2, run_id=B, factor=0.9))
    assert inferbench("compare", A, B, "--at", "p50") == 0
    output, errors = capsys.readouterr()
    lines = output.splitlines()
    assert lines[0].startswith("verdict     B is FASTER than A: p50 -9.")
    assert "99.5% interval -" in lines[0]
    assert lines[1].startswith("A           9.97 ms  n=20147")
    assert lines[3].startswith("effect      a request of B is faster than one of A in 5")
    assert "how much whole runs differ from one another is not known" in output
    assert "warning" not in output
    assert errors == ""


def test_json_is_the_whole_comparison(
    inferbench: Inferbench, keep: Callable[..., Record], capsys: pytest.CaptureFixture[str]
) -> None:
    """For scripts: the numbers, the runs, the warnings."""
    keep(raw_samples(BUSY, seed=1, run_id=A))
    keep(raw_samples(BUSY, seed=2, run_id=B))
    assert inferbench("compare", A, B, "--at", "p50", "-o", "json") == 0
    found = Compared.model_validate_json(capsys.readouterr().out)
    assert (found.a_runs, found.b_runs) == ((A,), (B,))
    assert found.comparison.outcome == "equivalent"
    assert found.comparison.a.requests > 15_000


def test_inconclusive_is_code_3_and_says_what_would_do(
    inferbench: Inferbench, keep: Callable[..., Record], capsys: pytest.CaptureFixture[str]
) -> None:
    """Two thousand requests do not tell p99 to 1 %."""
    keep(raw_samples(seed=1, run_id=A))
    keep(raw_samples(seed=2, run_id=B, factor=1.01))
    assert inferbench("compare", A, B, "--margin", "1%") == 3
    verdict = capsys.readouterr().out.splitlines()[0]
    assert "INCONCLUSIVE: p99 " in verdict
    assert verdict.endswith("requests a side would show a difference of 1 %")


def test_a_jobs_repeats_are_one_side(
    leader: ScriptedLeader, inferbench: Inferbench, keep: Callable[..., Record], capsys: pytest.CaptureFixture[str]
) -> None:
    """All runs that succeeded count; one that failed does not."""
    for job_id, factor in ((JOB_ID, 1.0), (OTHER_JOB, 1.3)):
        runs = [one_run(run_id(job_id, index)) for index in range(3)]
        failed = run_view(3, RunState.FAILED, id=run_id(job_id, 3), job_id=job_id)
        leader.answers("GET", f"/api/v1/jobs/{job_id}", job_view(*runs, failed, id=job_id))
        for index in range(3):
            keep(raw_samples(seed=index + 1, run_id=run_id(job_id, index), factor=factor * (1 + 0.01 * index)))
    assert inferbench("compare", JOB_ID, OTHER_JOB, "--at", "p50") == 0
    output = capsys.readouterr().out
    assert output.startswith("verdict     B is SLOWER than A: p50 +")
    assert f"{A} and 2 more" in output
    assert "runs        whole runs differ from one another by " in output


def test_two_repeats_leave_the_interval_open(
    leader: ScriptedLeader, inferbench: Inferbench, keep: Callable[..., Record], capsys: pytest.CaptureFixture[str]
) -> None:
    """With one degree of freedom its upper end is astronomical, and is not spelt out."""
    leader.answers("GET", f"/api/v1/jobs/{JOB_ID}", job_view(one_run(A), one_run(run_id(index=1))))
    keep(raw_samples(seed=1, run_id=A))
    keep(raw_samples(seed=2, run_id=run_id(index=1), factor=1.1))
    assert inferbench("compare", JOB_ID, A, "--at", "p50") == 3
    output = capsys.readouterr().out
    assert "to more than +1000 %)" in output
    assert "few repeats: 1 degrees of freedom" in output


def test_different_tasks_are_refused_and_it_is_said_in_what(
    inferbench: Inferbench, keep: Callable[..., Record], capsys: pytest.CaptureFixture[str]
) -> None:
    """By the paths of the job file; the seed is no difference. --anyway turns the refusal into a warning."""
    keep(raw_samples(seed=1, run_id=A))
    keep(raw_samples({**POISSON, "rate": 250}, seed=2, run_id=B), comparability_key="f" * 64)
    assert inferbench("compare", A, B) == 2
    errors = capsys.readouterr().err
    assert "not-comparable" in errors
    assert "workload.rate: differs: A 200.0, B 250.0" in errors
    assert "seed" not in errors
    assert inferbench("compare", A, B, "--at", "p50", "--anyway") in (0, 3)
    assert "warning     not the same task: workload.rate 200.0 -> 250.0" in capsys.readouterr().out


def test_other_bytes_of_a_model_are_another_task(
    inferbench: Inferbench, keep: Callable[..., Record], capsys: pytest.CaptureFixture[str]
) -> None:
    """The digests that were pinned are compared, because names say too little."""
    for name, seed, digest in ((A, 1, "a" * 64), (B, 2, "b" * 64)):
        pins = {"model": {"name": "m", "version": 1, "sha256": digest, "size_bytes": 3}}
        environment = {"inventory": INVENTORY, "slot": SLOT, "pins": pins}
        keep(raw_samples(seed=seed, run_id=name), comparability_key=digest, environment=environment)
    assert inferbench("compare", A, B) == 2
    assert f"model.sha256: differs: A {'a' * 64}, B {'b' * 64}" in capsys.readouterr().err


def test_what_differs_in_serving_is_shown_and_doubts_are_warned_of(
    inferbench: Inferbench, keep: Callable[..., Record], capsys: pytest.CaptureFixture[str]
) -> None:
    """Threads are what is compared; another host and an unsteady run are doubts."""
    keep(raw_samples(seed=1, run_id=A))
    faster = raw_samples(seed=2, run_id=B)
    environment = {"inventory": {**INVENTORY, "cpu_model": "Atom", "versions": {"onnxruntime": "1.21"}}, "slot": SLOT}
    spec = {**record_of(faster).spec, "service": {**record_of(faster).spec["service"], "threads": 2}}
    drifting = Verdict(kind="drifting", reasons=("drifting: the latency rises", "sender late"))
    keep(faster, spec=spec, environment=environment, follower="elsewhere", verdict=drifting)
    assert inferbench("compare", A, B, "--at", "p50") in (0, 3)
    output = capsys.readouterr().out
    for expected in (
        "differs     hardware.cpu Zen -> Atom",
        "service.threads 1 -> 2",
        "versions.onnxruntime 1.20 -> 1.21",
        "warning     not on the same followers: A on local, B on elsewhere",
        "not on the same hardware",
        f"{B} is drifting: the latency rises (and 1 more)",
    ):
        assert expected in output


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--at", "p98"), "--at is one of p50"),
        (("--margin", "lots"), "--margin is a share"),
        (("--margin", "0%"), "above 0"),
    ],
    ids=["at", "margin", "no margin"],
)
def test_a_wrong_option_is_code_2(
    inferbench: Inferbench, capsys: pytest.CaptureFixture[str], words: tuple[str, str], told: str
) -> None:
    """Said in words, before anything is fetched."""
    assert inferbench("compare", A, B, *words) == 2
    assert told in capsys.readouterr().err


def test_a_job_of_several_configurations_is_no_side(
    leader: ScriptedLeader, inferbench: Inferbench, keep: Callable[..., Record], capsys: pytest.CaptureFixture[str]
) -> None:
    """One of its runs has to be named; neither is a run that did not succeed one."""
    leader.answers("GET", f"/api/v1/jobs/{JOB_ID}", job_view(one_run(A), one_run(run_id(index=1))))
    keep(raw_samples(seed=1, run_id=A))
    keep(raw_samples(seed=2, run_id=run_id(index=1)), comparability_key="e" * 64)
    assert inferbench("compare", JOB_ID, A) == 2
    assert f"{JOB_ID} has runs of 2 configurations; name one of its runs: {A}" in capsys.readouterr().err
    leader.answers("GET", f"/api/v1/runs/{B}", run_view(state=RunState.FAILED, id=B))
    assert inferbench("compare", B, A) == 2
    assert f"{B} has no run that succeeded" in capsys.readouterr().err


def test_raw_samples_that_are_gone_are_code_5(
    leader: ScriptedLeader, inferbench: Inferbench, capsys: pytest.CaptureFixture[str]
) -> None:
    """A record outlives its raw file, but cannot be compared by it."""
    leader.answers("GET", f"/api/v1/runs/{A}", one_run(A))
    leader.answers("GET", f"/api/v1/runs/{A}/record", RecordView(run_id=A, record=record(run_id=A)))
    assert inferbench("compare", A, A) == 5
    assert f"no raw samples of {A}" in capsys.readouterr().err


def test_a_good_record_is_recomputed(
    inferbench: Inferbench, keep: Callable[..., Record], capsys: pytest.CaptureFixture[str]
) -> None:
    """One line, code 0."""
    keep(raw_samples(seed=3, run_id=A, failed=3))
    assert inferbench("recompute", A) == 0
    output = capsys.readouterr().out
    assert output.startswith(f"{A}: all ")
    assert "figures of the record follow from its raw samples" in output


def test_a_changed_record_is_code_3_and_shows_which_figures(
    inferbench: Inferbench, keep: Callable[..., Record], capsys: pytest.CaptureFixture[str]
) -> None:
    """A table of what the record says and what its samples say."""
    samples = raw_samples(seed=3, run_id=A)
    keep(samples, throughput_rps=999.0)
    assert inferbench("recompute", A) == 3
    lines = capsys.readouterr().out.splitlines()
    assert "1 of " in lines[0]
    assert "do NOT follow" in lines[0]
    assert lines[2].split()[:2] == ["throughput_rps", "999.0"]


def test_a_file_on_this_machine_is_held_against_the_leaders_record(
    inferbench: Inferbench, keep: Callable[..., Record], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Another file than the one delivered is found by its digest, even if the figures are the same."""
    samples = raw_samples(seed=3, run_id=A)
    write_samples(samples.columns, samples.manifest, tmp_path / "mine.parquet")
    keep(samples, samples_sha256="0" * 64)
    assert inferbench("recompute", "mine.parquet", "-o", "json") == 3
    result = Recomputed.model_validate_json(capsys.readouterr().out)
    assert [mismatch.figure for mismatch in result.mismatches] == ["samples_sha256"]


def test_a_file_without_manifest_is_code_2(
    inferbench: Inferbench, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And so is what is no samples file, and what is not there."""
    write_samples(raw_samples().columns, None, tmp_path / "cut.parquet")
    assert inferbench("recompute", "cut.parquet") == 2
    assert "no manifest" in capsys.readouterr().err
    (tmp_path / "text.parquet").write_text("hello")
    assert inferbench("recompute", "text.parquet") == 2
    assert "not a samples file" in capsys.readouterr().err
    assert inferbench("recompute", "gone.parquet") == 2
    assert "gone.parquet cannot be read" in capsys.readouterr().err


def test_what_a_leader_gives_that_is_no_raw_file_is_code_2(
    inferbench: Inferbench, keep: Callable[..., Record], capsys: pytest.CaptureFixture[str]
) -> None:
    """No traceback."""
    keep(raw_samples(run_id=A), raw=b"PAR1 and nothing else")
    assert inferbench("recompute", A) == 2
    assert "not a samples file" in capsys.readouterr().err


def test_the_temporary_copy_is_gone_afterwards(
    inferbench: Inferbench, keep: Callable[..., Record], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A raw file may be large."""
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    keep(raw_samples(run_id=A))
    assert inferbench("recompute", A) == 0
    assert list((tmp_path / "tmp").iterdir()) == []


def named_record() -> Record:
    """A record of the packaged model's version 3, made by the second repeat of a job that said "latest"."""
    spec = spec_of({**POISSON, "seed": 8}, service={"threads": 2}).model_dump(mode="json")
    spec["model"] = {"name": "resnet", "version": "latest"}
    pins = {"model": {"name": "resnet", "version": 3, "sha256": "a" * 64, "size_bytes": 9}, "dataset": None}
    return record(run_id=A, spec=RunSpec.model_validate(spec).model_dump(mode="json"), environment={"pins": pins})


def test_rerun_submits_the_same_once_more(
    leader: ScriptedLeader, inferbench: Inferbench, capsys: pytest.CaptureFixture[str]
) -> None:
    """One run: the same configuration and seed, the version of the model that was served, the job's name and team."""
    made = named_record()
    leader.answers("GET", f"/api/v1/runs/{A}/record", RecordView(run_id=A, record=made))
    leader.answers("GET", f"/api/v1/jobs/{JOB_ID}", job_view(one_run(A), priority="high"))
    again = job_view(run_view(state=RunState.QUEUED, id=B, job_id=OTHER_JOB), id=OTHER_JOB, state="queued")
    leader.answers("POST", "/api/v1/jobs", again, status=201)
    assert inferbench("rerun", A) == 0
    assert capsys.readouterr().out.startswith(f"{OTHER_JOB}  quickstart  queued")
    asked = leader.requests("POST", "/api/v1/jobs")[0]
    job = read_job(asked.body)
    assert (job.name, job.team, job.priority, job.repeats) == ("quickstart", "vision", "high", 1)
    (only,) = expand(job)
    expected = {**made.spec, "model": {"name": "resnet", "version": 3}}
    assert only.spec.model_dump(mode="json") == expected
    assert asked.headers["idempotency-key"]


@pytest.mark.parametrize(
    "workload",
    [
        {"pattern": "closed", "concurrency": 4, "think_time": "10ms"},
        {"pattern": "mmpp", "rate": 10, "burst_ratio": 3, "burst_share": 0.2, "burst_length": "1s", "max_in_flight": 7},
        {"pattern": "mlperf", "scenario": "offline"},
    ],
    ids=lambda workload: str(workload["pattern"]),
)
def test_every_effective_configuration_is_a_job_file(
    leader: ScriptedLeader, inferbench: Inferbench, workload: dict[str, Any]
) -> None:
    """Defaults written out, keys that are not set, a generated model: the job that is submitted expands to the same."""
    spec = spec_of(workload, slo={"p99_ms": 5}, requires={"labels": {"room": "a"}}).model_dump(mode="json")
    leader.answers("GET", f"/api/v1/runs/{A}/record", RecordView(run_id=A, record=record(run_id=A, spec=spec)))
    leader.answers("GET", f"/api/v1/jobs/{JOB_ID}", job_view(one_run(A)))
    leader.answers("POST", "/api/v1/jobs", job_view(one_run(B), id=OTHER_JOB, state="queued"), status=201)
    assert inferbench("rerun", A) == 0
    (only,) = expand(read_job(leader.requests("POST", "/api/v1/jobs")[0].body))
    assert only.spec.model_dump(mode="json") == spec


def test_rerun_waits_as_run_does(
    leader: ScriptedLeader, inferbench: Inferbench, capsys: pytest.CaptureFixture[str]
) -> None:
    """The verdict is shown, and decides the exit code."""
    leader.answers("GET", f"/api/v1/runs/{A}/record", RecordView(run_id=A, record=named_record()))
    leader.answers("GET", f"/api/v1/jobs/{JOB_ID}", job_view(one_run(A)))
    leader.answers("POST", "/api/v1/jobs", job_view(one_run(B), id=OTHER_JOB, state="queued"), status=201)
    leader.answers("GET", f"/api/v1/jobs/{OTHER_JOB}", job_view(one_run(B), id=OTHER_JOB))
    leader.tells(f"/api/v1/runs/{B}/events", ("succeeded", event_view("1.1", "succeeded", "the end")))
    leader.answers("GET", f"/api/v1/runs/{B}", one_run(B))
    leader.answers("GET", f"/api/v1/runs/{B}/record", RecordView(run_id=B, record=record(run_id=B)))
    assert inferbench("rerun", A, "--wait") == 0
    assert B in capsys.readouterr().out


def test_the_raw_file_is_what_other_tools_read(keep: Callable[..., Record], leader: ScriptedLeader) -> None:
    """What the tests keep at the leader is a real raw file, manifest and all."""
    keep(raw_samples(run_id=A))
    body = leader._script["GET", f"/api/v1/runs/{A}/samples"][0].body
    metadata = pq.read_schema(BytesIO(body)).metadata
    assert json.loads(metadata[b"inferbench.manifest"])["run_id"] == A
