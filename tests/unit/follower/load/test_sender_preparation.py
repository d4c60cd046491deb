"""What a sender decides before the barrier, and what it leaves behind."""

from pathlib import Path

import pytest
from support.samples import MS, closed_plan, open_plan

from follower.load import sender
from follower.load.outcome import SendFailure, WorkerOutcome, fetch, leave
from follower.load.process_sender import workers_of
from follower.load.protocol import LoadRequest, Target
from follower.load.sender import choose_spin, expected_rows
from follower.load.spin import CoreCheck
from follower.load.waiter import Waiter
from shared.jobs.feeding import Feed
from shared.jobs.lifecycle import Cause
from shared.jobs.pipeline import PipelineSpec
from shared.workload.plan import Plan


def load_request(plan: Plan, *, own_core: bool = True, cores: int = 1) -> LoadRequest:
    """A request of which only the plan and the cores matter."""
    return LoadRequest(
        plan=plan,
        target=Target(host="127.0.0.1", port=1, path="/"),
        encoded=[b""],
        pipeline=PipelineSpec(),
        feeds=(Feed("x", "FP32", "sample"),),
        output_name="y",
        request_timeout_ns=MS,
        client_cores=range(cores),
        own_core=own_core,
        folder=Path("unused"),
    )


SLOW = open_plan([2.0 * i for i in range(50)], warmup_ms=0, duration_ms=100)


def test_the_sender_polls_only_where_a_core_is_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """A core that the service may need is never burnt, nor is any for a plan without due times."""
    monkeypatch.setattr(sender, "check_core", lambda _: CoreCheck(overshoots_ns=[200_000], lost_share=0))
    with Waiter() as waiter:
        assert choose_spin(load_request(SLOW), waiter).before_ns == 300_000
        shared = choose_spin(load_request(SLOW, own_core=False), waiter)
        assert shared.before_ns == 0
        assert "not its own" in shared.reason
        closed = choose_spin(load_request(closed_plan(4, warmup_ms=0, duration_ms=100)), waiter)
        assert (closed.before_ns, closed.reason) == (0, "")


def test_rows_are_set_aside_for_the_plan_or_for_what_a_process_can_do() -> None:
    """An open plan says how many; a closed one gets 25,000 for each second, up to half a million."""
    assert expected_rows(SLOW) == 50
    assert expected_rows(closed_plan(1, warmup_ms=500, duration_ms=1_500)) == 50_000
    assert expected_rows(closed_plan(1, warmup_ms=0, duration_ms=3_600_000)) == 500_000


@pytest.mark.parametrize(
    ("plan", "cores", "workers"),
    [
        (SLOW, 0, 1),
        (SLOW, 1, 1),
        (SLOW, 4, 4),
        (open_plan([0, 1], warmup_ms=0, duration_ms=10), 4, 2),
        (open_plan([], warmup_ms=0, duration_ms=10), 4, 1),
        (closed_plan(3, warmup_ms=0, duration_ms=10), 4, 3),
        (closed_plan(1, warmup_ms=0, duration_ms=10), 4, 1),
    ],
    ids=["no cores", "one", "four", "two requests", "no request", "three slots", "one slot"],
)
def test_as_many_senders_as_have_something_to_do(plan: Plan, cores: int, workers: int) -> None:
    """At most one for each core, and at least one."""
    assert workers_of(load_request(plan, cores=cores)) == workers


def test_an_outcome_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    """What was left is fetched as it was; without it there is nothing, and no half of it stays."""
    assert fetch(tmp_path) is None
    outcome = WorkerOutcome(end_ns=7, mean_in_flight=0.5, answers=("a", None), notes=("note",))
    for left in (outcome, SendFailure(Cause.PIPELINE_FAILED, "no labels")):
        leave(tmp_path, left)
        assert fetch(tmp_path) == left
    assert [path.name for path in tmp_path.iterdir()] == ["outcome.pickle"]
