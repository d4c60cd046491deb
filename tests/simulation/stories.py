"""Stories: what clients want, what attempts do and what goes wrong, with nothing left to chance.

Each has a plain form, and one in which every run's first attempt fails through infrastructure, so that all that
happens, happens to a retried attempt.
"""

from collections.abc import Coroutine
from functools import lru_cache
from typing import Any, Final

from support.desks import spec

from leader.manage.desk import Desk
from leader.perfdb import schema
from shared.jobs.lifecycle import RunState
from shared.jobs.spec import JobSpec
from shared.wire.assignment import Assignment
from shared.wire.scheduling import SchedulingSettings
from simulation.attempts import Script
from simulation.cues import (
    cut_off,
    delivering,
    first_claim_for_long,
    kill_agent,
    pause_host,
    recorded,
    run_is,
    slow_claims,
    slow_delivering_moves,
    slow_take_backs,
    step_clocks,
    stop_agent,
    stored,
    third_renewal,
)
from simulation.plots import Probes, Story, Wanted

LONG_S: Final = 20.0


@lru_cache(maxsize=64)
def job(runs: int = 1, *, seconds: int = 5, **sections: Any) -> JobSpec:
    """So many runs, as points of a sweep."""
    sweep = {"sweep": {"workload.rate": [10 * (n + 1) for n in range(runs)]}} if runs > 1 else {}
    return spec(seconds=seconds, **sweep, **sections)


def search() -> JobSpec:
    """A search that needs a few probes."""
    wanted = {"pattern": "search", "slo": {"p99_ms": 50}, "start_rate": 10, "probes": 4, "precision": 0.5}
    return spec(workload={**wanted, "warmup": "0s", "duration": "2s"})


def bind_early(desk: Desk) -> Coroutine[Any, Any, Any]:
    """From now on each run waits for a slot of its own."""
    return desk.scheduling.put(SchedulingSettings(placement="queue-aware"))


def cordon(desk: Desk) -> Coroutine[Any, Any, Any]:
    """The first follower is given nothing new."""
    return desk.followers.cordon("f1", cordoned=True)


def _only_the_first_lasts(story: Story, assignment: Assignment, _attempt: int) -> Script:
    return Script(story.kind, story.lasts_s if assignment.run_id.endswith(".0000") else 1.0)


def _probes(story: Story, _assignment: Assignment, _attempt: int) -> Script:
    return Probes(story.kind, story.lasts_s)


def _the_next_lasts(story: Story, assignment: Assignment, attempt: int) -> Script:
    return Script(story.kind, story.lasts_s if assignment.attempt <= attempt else LONG_S)


ONE: Final = (Wanted(job()),)
TWO_HOSTS: Final = (1, 1)

STORIES: Final = (
    # all goes well
    Story("start", (Wanted(job(), at_s=70.0),), lasts_s=2.0, can_be_retried=False),
    Story("plain", ONE, uploads_in_full=True),
    Story("two-leaders", (Wanted(job(2)),), leaders=2, slots=TWO_HOSTS),
    Story("bound", (Wanted(job(3), first=bind_early),), lasts_s=2.0, slots=TWO_HOSTS, can_be_retried=False),
    Story("cordoned", (Wanted(job(), first=cordon),), lasts_s=2.0, slots=TWO_HOSTS, can_be_retried=False),
    Story("sweep", (Wanted(job(3)),), lasts_s=2.0, slots=(2,)),
    Story("search", (Wanted(search()),), lasts_s=2.0, script=_probes, can_be_retried=False),
    Story("reuse", (Wanted(job(repeats=1)), Wanted(job(repeats=2, reuse="extend"), after=recorded)), lasts_s=2.0),
    # somebody changes their mind
    Story("gives-up", (Wanted(job(2), insists=False),), lasts_s=2.0, slots=(2,), can_be_retried=False),
    Story("cancel-waiting", (*ONE, Wanted(job(), at_s=0.5, cancel=stored(schema.JOBS))), can_be_retried=False),
    Story("cancel-queued", (Wanted(job(), cancel=run_is(RunState.QUEUED)),)),
    Story(
        "cancel-claimed",
        (Wanted(job(), cancel=run_is(RunState.CLAIMED)),),
        incidents=((run_is(RunState.CLAIMED), cut_off("from", 0.3)),),
    ),
    Story("cancel-running", (Wanted(job(), cancel=run_is(RunState.RUNNING)),)),
    Story(
        "cancel-run",
        (Wanted(job(), cancel=run_is(RunState.RUNNING), cancels_its_run=True), Wanted(job(), at_s=0.5)),
        lasts_s=2.0,
        can_be_retried=False,
    ),
    Story("cancel-uploading", (Wanted(job(), cancel=stored(schema.ARTIFACTS)),), lasts_s=2.0, uploads_in_full=True),
    Story("cancel-delivering", (Wanted(job(), cancel=stored(schema.ATTEMPTS)),), delay_s=slow_delivering_moves),
    Story("cancel-search", (Wanted(search(), cancel=recorded),), lasts_s=2.0, script=_probes, can_be_retried=False),
    Story(
        "deadline-queued",
        (*ONE, Wanted(job(deadline="4s"), at_s=0.5)),
        script=_only_the_first_lasts,
        can_be_retried=False,
    ),
    Story("deadline-running", (Wanted(job(deadline="8s")),), lasts_s=20.0),
    # the attempt fails
    Story("own-failure", ONE, kind="own-failure"),
    Story("invalid", ONE, kind="invalid", lasts_s=2.0),
    Story("silent", ONE, kind="silent", lasts_s=2.0, can_be_retried=False),
    Story("refused", ONE, kind="refused", lasts_s=2.0, can_be_retried=False),
    Story("poison", ONE, kind="poison", lasts_s=2.0, can_be_retried=False),
    # the follower does
    Story("lost", ONE, slots=TWO_HOSTS, incidents=((run_is(RunState.RUNNING), kill_agent(60.0)),)),
    Story(
        "cut-off", ONE, lasts_s=20.0, slots=TWO_HOSTS, incidents=((run_is(RunState.RUNNING), cut_off("both", 40.0)),)
    ),
    Story("paused", ONE, lasts_s=30.0, slots=TWO_HOSTS, incidents=((run_is(RunState.RUNNING), pause_host(25.0)),)),
    Story(
        "late-result",
        ONE,
        lasts_s=2.0,
        slots=TWO_HOSTS,
        script=_the_next_lasts,
        incidents=((delivering, cut_off("both", 25.0)),),
    ),
    Story("leftovers", ONE, lasts_s=2.0, uploads_in_full=True, incidents=((delivering, kill_agent(2.0)),)),
    Story("restarted-at-once", ONE, lasts_s=2.0, incidents=((run_is(RunState.CLAIMED), kill_agent(2.0)),)),
    Story("restarted", ONE, incidents=((run_is(RunState.RUNNING), kill_agent(2.0)),)),
    Story(
        "slow-kill",
        ONE,
        lasts_s=30.0,
        slots=TWO_HOSTS,
        kill_takes_s=4.5,
        incidents=((run_is(RunState.RUNNING), cut_off("both", 60.0)),),
    ),
    Story(
        "slow-answer",
        ONE,
        lasts_s=30.0,
        slots=TWO_HOSTS,
        kill_takes_s=2.9,
        renewals_take_s=4.8,
        incidents=((third_renewal, cut_off("both", 60.0)),),
        can_be_retried=False,
    ),
    # clocks are set, and rings are lost
    Story("clock-step", ONE, incidents=((run_is(RunState.RUNNING), step_clocks(3600.0, 0.0)),), can_be_retried=False),
    Story(
        "host-clock-step",
        ONE,
        lasts_s=30.0,
        slots=TWO_HOSTS,
        incidents=(
            (run_is(RunState.RUNNING), step_clocks(0.0, -3600.0)),
            (run_is(RunState.RUNNING), cut_off("both", 60.0)),
        ),
        can_be_retried=False,
    ),
    Story("deaf", ONE, lasts_s=2.0, deaf=True, can_be_retried=False),
    # the store is slow
    Story(
        "slow-claim-twice",
        (Wanted(job(2)),),
        lasts_s=1.0,
        delay_s=first_claim_for_long,
        can_be_retried=False,
    ),
    Story(
        "slow-reaper",
        ONE,
        lasts_s=12.0,
        slots=TWO_HOSTS,
        delay_s=slow_take_backs,
        incidents=((run_is(RunState.RUNNING), pause_host(14.5)),),
    ),
    Story(
        "slow-claim",
        ONE,
        kind="flaky",
        lasts_s=1.0,
        leaders=2,
        slots=TWO_HOSTS,
        delay_s=slow_claims,
        can_be_retried=False,
    ),
    Story("stopped", ONE, incidents=((run_is(RunState.RUNNING), stop_agent),)),
)
BY_NAME: Final = {story.name: story for story in STORIES}
