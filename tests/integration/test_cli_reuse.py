"""Reused runs beside others, as a user types it: one measurement is one, whatever shows it."""

from pathlib import Path

import pytest
from support.raw_files import POISSON, raw_samples, record_of
from support.records import JOB_ID, job_view, run_view
from support.scripted_leader import Reply, ScriptedLeader
from support.typed_commands import Inferbench

from cli.comparing import Compared
from shared.measure.record import Record
from shared.measure.samples_file import write_samples
from shared.wire.views import OriginView, RecordView, RunView

A, B = f"{JOB_ID}.0000", "j-01jd3z8k5q2w9x7v6t4r3s2a1c.0000"


def one_run(run_id: str) -> RunView:
    """A run that succeeded."""
    return run_view(id=run_id, job_id=run_id.partition(".")[0])


def kept(leader: ScriptedLeader, folder: Path, run_id: str) -> Record:
    """The leader has the run with its record and its raw file."""
    samples, path = raw_samples(POISSON, seed=1, run_id=run_id), folder / "kept.parquet"
    write_samples(samples.columns, samples.manifest, path)
    found = record_of(samples)
    leader.answers("GET", f"/api/v1/runs/{run_id}", one_run(run_id))
    leader.answers("GET", f"/api/v1/runs/{run_id}/record", RecordView(run_id=run_id, record=found))
    leader.will("GET", f"/api/v1/runs/{run_id}/samples", Reply(200, path.read_bytes()))
    return found


def reusing(leader: ScriptedLeader, run: str, origin: Record) -> None:
    """A run that was not run: the leader answers with the origin's record."""
    whose = OriginView(run_id=origin.run_id, follower=origin.follower, measured_at=origin.finished_at)
    view = RecordView(run_id=run, record=origin, reused_from=whose)
    leader.answers("GET", f"/api/v1/runs/{run}", one_run(run).model_copy(update={"reused_from": whose}))
    leader.answers("GET", f"/api/v1/runs/{run}/record", view)


def test_a_measurement_is_not_compared_with_itself(
    leader: ScriptedLeader, inferbench: Inferbench, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where B only reuses A's number, they would be equal whatever is true; the message names the run."""
    reusing(leader, B, kept(leader, tmp_path, A))
    assert inferbench("compare", A, B, "--at", "p50") == 2
    assert f"{A} and {B} show the same measurement, run {A}, which is reused" in capsys.readouterr().err


def test_a_reused_run_counts_once_on_its_side(
    leader: ScriptedLeader, inferbench: Inferbench, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two runs of a job that show one measurement are one run in a comparison, under the name of the origin."""
    origin = kept(leader, tmp_path, A)
    kept(leader, tmp_path, B)
    for index in (1, 2):
        reusing(leader, f"{JOB_ID}.{index:04d}", origin)
    twice = [one_run(f"{JOB_ID}.{index:04d}") for index in (1, 2)]
    leader.answers("GET", f"/api/v1/jobs/{JOB_ID}", job_view(*twice))
    inferbench("compare", JOB_ID, B, "--at", "p50", "-o", "json")
    assert Compared.model_validate_json(capsys.readouterr().out).a_runs == (A,)
