"""Lists as aligned columns."""

import re
from datetime import timedelta
from typing import Any

import pytest
from support.records import JOB_ID, NOON, job_view, record, run_view

from cli.plans import plan_lines
from cli.tables import (
    datasets_table,
    followers_table,
    job_lines,
    jobs_table,
    leaderboard_lines,
    metric_value,
    models_table,
    results_table,
    run_lines,
    table,
    task_line,
)
from shared.jobs.lifecycle import Cause, RunState
from shared.wire.identity import Capabilities, Inventory, PlatformOffer, Slot
from shared.wire.views import (
    DatasetView,
    FollowerView,
    LeaderboardGroup,
    LeaderboardRow,
    LeaderboardView,
    ModelView,
    PlannedRun,
    PlanView,
    RecordView,
)

LATER = NOON + timedelta(minutes=3)


def follower(name: str, *, alive: bool) -> FollowerView:
    """A follower with one slot."""
    return FollowerView(
        name=name,
        alive=alive,
        last_seen_at=NOON,
        version="0.1.0",
        inventory=Inventory(
            hostname="h", cpu_model="EPYC 9654", logical_cores=8, physical_cores=4, memory_bytes=16 * 1024**3,
            kernel="6.1", os="Debian 12", governor=None,
        ),
        capabilities=Capabilities(
            platforms=(
                PlatformOffer(
                    platform="onnxruntime", version="1.31.1", launch=("process",), protocol=("http",), device=("cpu",)
                ),
            ),
            patterns=(), networks=(), pipeline_sides=(), ops=(), model_families=(), datasets=(),
        ),
        slots=(Slot(name="cpu-0", device="cpu", server_cores=(1,), client_cores=(0,)),),
    )  # fmt: skip


TASK = {
    "model": {"name": "ppocr-rec", "sha256": "4" * 64},
    "network": "none",
    "requests": {"dataset": "text-lines", "batch_size": 1, "distinct": 16},
    "workload": {"pattern": "poisson", "rate": 10.0, "duration": "15s", "warmup": "2s"},
}


def board(*rows: LeaderboardRow, metric: str = "p99_ms") -> LeaderboardView:
    """A ranking with one group."""
    group = LeaderboardGroup(comparability_key="abcdef0123456789", task=TASK, record_count=7, rows=rows)
    return LeaderboardView(metric=metric, unit="ms", higher_is_better=False, groups=(group,))


def row(rank: int, value: float | None, batch: int = 8) -> LeaderboardRow:
    """A row with one batching setting."""
    configuration = {"platform": "onnxruntime", "url": None, "threads": 1, "batching": {"max_batch_size": batch}}
    return LeaderboardRow(
        rank=rank, run_id=f"run-{rank}", job_id=JOB_ID, name="quickstart", team="vision", follower="local",
        hardware="EPYC", platform="onnxruntime", configuration=configuration,
        value=value, metrics={"p50_ms": 14.0, "p99_ms": value, "throughput_rps": 19.94}, verdict="stable",
        created_at=NOON,
    )  # fmt: skip


def test_columns_are_as_wide_as_their_widest_cell() -> None:
    """Two blanks between columns, none at the end of a line, wide characters counted as two."""
    assert table(("A", "LONG"), [("测试", "x"), ("y", "")]) == ["A     LONG", "测试  x", "y"]


def test_a_cell_cannot_break_its_line() -> None:
    """Line breaks and escapes in a name are shown, not obeyed."""
    assert table(("A",), [("x\n\x1b[0m",)]) == ["A", "x\\n\\x1b[0m"]


def test_jobs_show_their_runs_counted_by_state() -> None:
    """One line a job: who, what, how far, how old."""
    job = job_view(run_view(0), run_view(1, RunState.QUEUED), state="running")
    assert jobs_table([job], LATER) == [
        "JOB                           NAME        TEAM    OWNER  STATE    RUNS                   AGE",
        f"{JOB_ID}  quickstart  vision  admin  running  1 queued, 1 succeeded  3m",
    ]


def test_an_empty_list_says_what_is_missing() -> None:
    """An empty table is not silence."""
    assert jobs_table([], NOON) == ["no jobs"]
    assert models_table([], NOON) == ["no models"]
    assert datasets_table([]) == ["no datasets"]
    assert followers_table([], NOON) == ["no followers"]
    empty = LeaderboardView(metric="p99_ms", unit="ms", higher_is_better=False, groups=())
    assert leaderboard_lines(empty) == [
        "nothing to rank yet; a record whose verdict is invalid is kept, but never ranked"
    ]


def test_a_failed_run_says_why() -> None:
    """Cause, detail and the end of the log are shown with the run."""
    failed = run_view(
        0, RunState.FAILED, cause=Cause.SERVER_DIED, detail="signal SIGKILL", log_tail="loading\nout of luck"
    )
    lines = run_lines(failed)
    assert lines[1].endswith("server-died: signal SIGKILL")
    assert lines[-2:] == ["loading", "out of luck"]
    assert any("server-died" in text for text in job_lines(job_view(failed, state="failed"), LATER))


@pytest.mark.parametrize(
    ("state", "cause"),
    [
        (RunState.INVALID, Cause.MEASUREMENT_INVALID),
        (RunState.TIMED_OUT, Cause.DEADLINE_PASSED),
        (RunState.QUARANTINED, Cause.FOLLOWER_DIED),
    ],
)
def test_every_end_is_shown_with_its_cause(state: RunState, cause: Cause) -> None:
    """By the names that the API has for them."""
    (_, line) = run_lines(run_view(0, state, cause=cause, detail="why"))
    assert line.split()[1] == state.value
    assert line.endswith(f"{cause.value}: why")


def test_a_run_without_the_record_that_it_should_have_says_so() -> None:
    """It has succeeded; the reason stands where a cause would."""
    (_, line) = run_lines(run_view(0, no_record="attempt 1 has delivered nothing"))
    assert line.endswith("no record: attempt 1 has delivered nothing")


def test_a_sweep_is_shown_point_by_point() -> None:
    """What was varied, what came of it, and a dash where there is no record."""
    runs = [run_view(0, point={"workload.rate": 10}), run_view(1, RunState.FAILED, point={"workload.rate": 20})]
    lines = results_table(runs, [RecordView(run_id=runs[0].id, record=record())])
    assert lines[1].split() == [runs[0].id, "succeeded", "workload.rate=10", "14.0", "31.2", "19.9", "0.0", "%", "met",
                                "stable"]  # fmt: skip
    assert lines[2].split() == [runs[1].id, "failed", "workload.rate=20", "-", "-", "-", "-", "-", "-"]


def test_a_plan_ends_with_its_total() -> None:
    """Runs, comparable groups and the predicted time in all."""
    plan = PlanView(
        name="sweep",
        runs=tuple(PlannedRun(index=n, repeat=0, point={"workload.rate": n}, predicted_s=15) for n in range(3)),
        predicted_s=45,
        comparability_keys=("a", "b", "a"),
    )
    lines = plan_lines(plan)
    assert len(lines) == 1 + 3 + 1
    assert lines[-1] == "sweep: 3 runs in 2 comparable groups, predicted 45 s in all"


def test_the_leaderboard_names_metric_unit_and_direction() -> None:
    """What better means stands above the ranking; what all rows share stands above the group."""
    lines = leaderboard_lines(board(row(1, 31.22), row(2, None)))
    assert lines[0] == "ranked by p99_ms (ms, lower is better), only comparable records together"
    assert lines[2] == "ppocr-rec · text-lines x1 · poisson 10.0 15s  (7 records, key abcdef012345)"
    assert lines[3].split() == ["RANK", "P99_MS", "P50_MS", "THROUGHPUT_RPS", "NAME", "PLATFORM", "SETTINGS",
                                "FOLLOWER", "VERDICT", "RUN"]  # fmt: skip
    assert lines[4].split()[:4] == ["1", "31.2", "14.0", "19.94"]
    assert lines[5].split()[:2] == ["2", "n/a"]


def test_rows_show_only_the_settings_in_which_they_differ() -> None:
    """What is being compared is what varies; where nothing does, the usual settings are shown."""
    lines = leaderboard_lines(board(row(1, 31.2, batch=1), row(2, 35.0, batch=8)))
    assert [text.split()[6] for text in lines[4:]] == ["max_batch_size=1", "max_batch_size=8"]
    assert "max_batch_size=8 threads=1" in leaderboard_lines(board(row(1, 31.2)))[4]


def test_a_generated_model_and_a_slow_network_are_part_of_the_task() -> None:
    """The title says what the job file said."""
    task = {"model": {"generate": {"family": "fc", "layers": 2}}, "network": "lte", "workload": {"pattern": "closed"}}
    assert task_line(task) == "family=fc layers=2 · closed · network lte"


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("p99_ms", 31.22, "31.2"),
        ("server_rss_bytes", 210 * 1024**2, "210 MiB"),
        ("error_rate", 0.015, "1.5 %"),
        ("throughput_rps", 19.94, "19.94"),
        ("throughput_rps", 12345.6, "12346"),
        ("of-a-newer-leader", 1.5, "1.5"),
        ("p99_ms", None, "n/a"),
    ],
)
def test_a_ranked_number_is_shown_in_its_unit(name: str, value: float | None, shown: str) -> None:
    """The metric registry knows the unit; a metric that only the leader knows is shown as a number."""
    assert metric_value(name, value) == shown


def test_models_and_datasets_show_where_they_come_from() -> None:
    """State, size, digest and origin, and the reason where a model was refused."""
    refused = ModelView(
        name="m", version=2, state="refused", sha256="f" * 64, size_bytes=2048, card={}, detail="not ONNX",
        created_at=NOON,
    )  # fmt: skip
    assert models_table([refused], LATER)[1].split() == ["m", "2", "refused", "2.0", "KiB", "f" * 12, "3m", "not",
                                                         "ONNX"]  # fmt: skip
    built_in = DatasetView(name="text-lines", version=1, builtin=True, kind="dataset", description="lines of text")
    assert datasets_table([built_in])[1].split()[:5] == ["text-lines", "1", "dataset", "built", "in"]


def test_a_silent_follower_says_since_when() -> None:
    """Alive or silent for how long, hardware, slots and platforms."""
    lines = followers_table([follower("a", alive=True), follower("b", alive=False)], LATER)
    assert "alive" in lines[1]
    assert "EPYC 9654, 8 cores, 16.0 GiB" in lines[1]
    assert "cpu-0 (cpu)" in lines[1]
    assert "onnxruntime 1.31.1" in lines[1]
    assert "silent for 3m" in lines[2]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "alive"),
        ({"alive": False, "stopped": True}, "stopped for 3m"),
        ({"clock_offset_s": 5.0}, "alive"),
        ({"clock_offset_s": -5.0}, "alive"),
        ({"clock_offset_s": 6.0}, "alive, clock 6.0 s behind"),
        ({"clock_offset_s": -90.0, "cordoned": True}, "alive, drained, clock 90 s ahead"),
    ],
)
def test_a_follower_shows_what_is_odd_about_it(changes: dict[str, Any], said: str) -> None:
    """That it was stopped, and that its clock is wrong by more than 5 s."""
    line = followers_table([follower("a", alive=True).model_copy(update=changes)], LATER)[1]
    assert re.split(r" {2,}", line)[1] == said
