"""A follower whose clock is a day off is an ordinary follower; only its operator is told."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from support.running_stack import MEASURED, RunningStack, second_follower

WRONG_CLOCK = Path(__file__).parents[1] / "support" / "wrong_clock"
JOB = """
apiVersion: inferbench/v1
kind: Job
name: wrong-clock-{name}
model: {{generate: {{family: fc, layers: 1, width: {width}}}}}
workload: {{pattern: constant, rate: 20, warmup: 200ms, duration: 1s}}
requires: {{labels: {{clock: {name}}}}}
"""


@pytest.mark.timeout(180)
@pytest.mark.parametrize(("name", "days_ahead", "width"), [("ahead", 1, 16), ("behind", -1, 24)])
def test_a_follower_with_a_clock_a_day_off_runs_a_job(
    stack: RunningStack, tmp_path: Path, name: str, days_ahead: int, width: int
) -> None:
    """With a real attempt, to its end at the first try; record, leaderboard and story have the leader's time."""
    wrong = {
        "PYTHONPATH": str(WRONG_CLOCK),
        "DAYS_AHEAD": str(days_ahead),
        "INFERBENCH_LABELS": f"clock={name}",
    }
    began = datetime.now(UTC)
    with second_follower(stack, f"clock-{name}", tmp_path / "work", **wrong):
        (follower,) = [f for f in stack.get("/api/v1/followers")["items"] if f["name"] == f"clock-{name}"]
        assert follower["clock_offset_s"] == pytest.approx(-86_400 * days_ahead, abs=5)
        run_id = f"{stack.submit(JOB.format(name=name, width=width))['id']}.0000"
        run = stack.wait_for_run(run_id, timeout_s=90)
    ended = datetime.now(UTC)
    assert (run["state"] in MEASURED, run["attempt"], run["follower"]) == (True, 1, f"clock-{name}"), run
    record = stack.get(f"/api/v1/runs/{run_id}/record")["record"]
    slack = timedelta(seconds=1)
    assert began - slack <= datetime.fromisoformat(record["started_at"])
    assert datetime.fromisoformat(record["started_at"]) < datetime.fromisoformat(record["finished_at"]) <= ended + slack
    assert any("leader's clock" in note for note in record["notes"])
    story = stack.client.get(f"/api/v1/runs/{run_id}/events").text
    stamps = [line for line in story.splitlines() if line.startswith("data: ")]
    assert len(stamps) > 5
    year_and_day = {f"{moment:%Y-%m-%dT}" for moment in (began, ended)}
    assert all(any(day in stamp for day in year_and_day) for stamp in stamps), stamps
