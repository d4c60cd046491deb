"""The live queue by policy: order, shares, quotas, cordons and explanations, on the embedded database."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from support.desks import Workplace, failure, registration, spec, success, workplace

from shared.errors import InvalidInput, NotFound, QuotaExceeded
from shared.jobs.lifecycle import RunState
from shared.wire.assignment import Assignment, Progress, ProgressEvent
from shared.wire.identity import Heartbeat
from shared.wire.scheduling import SchedulingSettings, TeamQuota


@pytest.fixture
async def place(mongo_url: str) -> AsyncIterator[Workplace]:
    """A desk with one follower of one slot."""
    async with workplace(mongo_url) as opened:
        yield opened


async def set_to(place: Workplace, **settings: object) -> None:
    """Put settings into force."""
    await place.desk.scheduling.put(SchedulingSettings.model_validate(settings))


async def run_dry(place: Workplace, *, seconds: float = 10.0) -> list[str]:
    """The teams of the runs in the order in which one slot takes them, each for some seconds."""
    taken = []
    while (given := await place.claim()) is not None:
        taken.append((await place.desk.perfdb.runs.get(given.run_id)).team)
        place.clock.advance(seconds)
        await place.desk.queue.deliver("f1", given.run_id, failure(given))
    return taken


async def test_by_default_teams_take_turns(place: Workplace) -> None:
    """One team's flood, submitted first, does not keep the other's runs waiting."""
    await place.submit(team="flood", repeats=4)
    await place.submit(team="small", repeats=2, seconds=5)
    assert await run_dry(place) == ["flood", "small", "flood", "small", "flood", "flood"]


async def test_a_weight_is_a_share(place: Workplace) -> None:
    """A team of weight 3 has three of four turns while both have work."""
    await set_to(place, quotas={"heavy": {"weight": 3}})
    await place.submit(team="heavy", repeats=6)
    await place.submit(team="light", repeats=6)
    first = (await run_dry(place))[:8]
    assert (first.count("heavy"), first.count("light")) == (6, 2)


async def test_the_policy_is_switched_while_runs_are_queued(place: Workplace) -> None:
    """The same queue by arrival, by length, by deadline."""
    jobs = {
        "long": (await place.submit(seconds=60, deadline="3h")).id,
        "short": (await place.submit(seconds=5, deadline="2h")).id,
        "middle": (await place.submit(seconds=20, deadline="1h")).id,
    }
    names = {job_id: name for name, job_id in jobs.items()}
    for order, expected in (("first-come", "long"), ("shortest-first", "short"), ("earliest-deadline", "middle")):
        await set_to(place, order=order)
        given = await place.claimed()
        assert names[given.job_id] == expected
        await place.desk.queue.deliver("f1", given.run_id, failure(given))


async def test_an_urgent_run_goes_before_all(place: Workplace) -> None:
    """Also before a high one that is shorter and came first."""
    await place.submit(priority="high", seconds=1)
    urgent = await place.submit(priority="urgent", seconds=600)
    assert (await place.claimed()).job_id == urgent.id


async def test_settings_reach_other_leaders(mongo_url: str) -> None:
    """They are in the store; another leader follows them within two seconds."""
    async with workplace(mongo_url) as here, workplace(mongo_url, followers=0) as there:
        there.clock = here.clock
        long = await here.submit(seconds=60)
        await here.submit(seconds=5)
        await set_to(here, order="first-come")
        given = await there.claimed()
        assert given.job_id == long.id
        assert (await there.desk.scheduling.show()).settings.order == "first-come"


async def test_unknown_policies_are_refused_and_nothing_changes(place: Workplace) -> None:
    """The known ones are listed."""
    with pytest.raises(InvalidInput, match="known: round-robin, queue-aware, late-binding"):
        await set_to(place, placement="random")
    with pytest.raises(InvalidInput, match="first-come, shortest-first"):
        await set_to(place, order="lottery")
    assert (await place.desk.scheduling.show()).settings == SchedulingSettings()


async def test_more_than_the_quota_is_refused_at_submit(place: Workplace) -> None:
    """With the numbers; a smaller job, another team and a repeated submit are accepted."""
    await set_to(place, quotas={"vision": {"queued": 3}})
    accepted = await place.submit("key", team="vision", repeats=2)
    with pytest.raises(QuotaExceeded, match="'vision' has 2 runs queued; 2 more would pass its quota of 3"):
        await place.submit(team="vision", repeats=2)
    await place.submit(team="vision")
    await place.submit(team="speech", repeats=9)
    assert (await place.submit("key", team="vision", repeats=2)).id == accepted.id


async def test_submits_at_once_do_not_pass_a_quota_together(place: Workplace) -> None:
    """Ten jobs of one run where three may wait."""
    await set_to(place, quotas={"vision": {"queued": 3}})
    answers = await asyncio.gather(*(place.submit(team="vision") for _ in range(10)), return_exceptions=True)
    assert sum(isinstance(answer, QuotaExceeded) for answer in answers) == 7
    assert sum(not isinstance(answer, BaseException) for answer in answers) == 3


async def test_a_team_above_its_running_quota_waits_and_is_told_so(mongo_url: str) -> None:
    """The slot takes another team's run instead; explain names the quota."""
    async with workplace(mongo_url, followers=2) as place:
        await set_to(place, quotas={"vision": {"running": 1}})
        vision = await place.submit(team="vision", repeats=2, priority="high")
        speech = await place.submit(team="speech", seconds=50)
        assert (await place.claimed("f1")).job_id == vision.id
        told = await place.desk.explainer.explain(vision.runs[1].id)
        assert (told.why, told.words) == ("over-quota", "team 'vision' has 1 running; its quota is 1")
        assert (await place.claimed("f2")).job_id == speech.id


async def test_a_team_that_used_up_its_device_seconds_waits(place: Workplace) -> None:
    """What it ran within a day counts; then it may again."""
    await set_to(place, quotas={"vision": {"device_s": 60}})
    first = await place.submit(team="vision")
    given = await place.claimed()
    place.clock.advance(100)
    await place.desk.queue.deliver("f1", given.run_id, failure(given))
    waiting = await place.submit(team="vision")
    assert await place.claim() is None
    await place.desk.followers.heartbeat("f1", Heartbeat(incarnation="i-1"))
    place.clock.advance(2)
    told = await place.desk.explainer.explain(waiting.runs[0].id)
    assert (told.why, told.words) == ("over-quota", "team 'vision' has used 100 of 60 device-seconds")
    place.clock.advance(86_500)
    assert (await place.claimed()).job_id == waiting.id != first.id


async def test_a_quota_below_what_runs_stops_nothing(place: Workplace) -> None:
    """It is accepted, and the answer says what it means."""
    await place.submit(team="vision", repeats=2)
    given = await place.claimed()
    quotas = {"vision": TeamQuota(running=0, queued=0)}
    view = await place.desk.scheduling.put(SchedulingSettings(quotas=quotas))
    assert view.notices == (
        "team 'vision' has 1 running, above its quota of 0: they go on",
        "team 'vision' has 1 queued, above its quota of 0: they stay",
    )
    assert await place.state(given.run_id) is RunState.CLAIMED


async def test_a_cordoned_follower_gets_nothing_until_it_is_uncordoned(place: Workplace) -> None:
    """It keeps its cordon over a restart, finishes what it has, and is woken when it may work again."""
    await place.submit(repeats=2)
    given = await place.claimed()
    assert (await place.desk.followers.cordon("f1", cordoned=True)).cordoned
    await place.renew(given, started=True)
    await place.desk.queue.deliver("f1", given.run_id, success(given))
    await place.desk.followers.register(registration("f1", "i-1"))
    assert await place.claim() is None
    waiting = (await place.desk.reads.job(given.job_id)).runs[1]
    told = await place.desk.explainer.explain(waiting.id)
    assert told.why == "no-follower"
    assert "cordoned" in told.words
    place.bell.rung.clear()
    assert not (await place.desk.followers.cordon("f1", cordoned=False)).cordoned
    assert place.bell.rung == ["f1"]
    assert (await place.claimed()).run_id == waiting.id


async def test_an_unknown_follower_cannot_be_cordoned(place: Workplace) -> None:
    """Neither way."""
    for cordoned in (True, False):
        with pytest.raises(NotFound):
            await place.desk.followers.cordon("nobody", cordoned=cordoned)


async def test_explain_gives_position_times_and_reasons(place: Workplace) -> None:
    """One slot that is busy for 60 s and more, a run of 5 s before it."""
    await set_to(place, order="first-come")
    running = await place.submit(seconds=60)
    await place.claimed()
    before, last = await place.submit(seconds=5), await place.submit(seconds=5)
    told = await place.desk.explainer.explain(last.runs[0].id)
    assert (told.why, told.position, told.queued, told.state) == ("waiting", 2, 2, RunState.QUEUED)
    assert told.words == "1 before it; 1 slots can run it, 1 of them busy"
    assert told.policy == "late-binding+first-come"
    assert told.starts_in is not None
    assert told.ends_in is not None
    at_least_s = running.runs[0].predicted_s + before.runs[0].predicted_s
    assert told.starts_in.p50_s == pytest.approx(at_least_s, rel=0.2)
    assert told.starts_in.p90_s >= told.starts_in.p50_s
    assert told.ends_in.p50_s == pytest.approx(told.starts_in.p50_s + told.predicted.p50_s)
    assert {reason.name for reason in told.reasons} >= {"class", "rank", "predicted", "waited"}


async def test_explain_tells_of_runs_that_wait_no_more(place: Workplace) -> None:
    """Under way: how long yet; ended: how."""
    job = await place.submit(seconds=60)
    given = await place.claimed()
    place.clock.advance(10)
    told = await place.desk.explainer.explain(given.run_id)
    assert (told.why, told.follower, told.position) == ("running", "f1", None)
    assert told.ends_in is not None
    assert told.ends_in.p50_s == pytest.approx(job.runs[0].predicted_s - 10)
    await place.desk.queue.deliver("f1", given.run_id, failure(given))
    told = await place.desk.explainer.explain(given.run_id)
    assert (told.why, told.words, told.ends_in) == ("ended", "it ended as failed: server-died: it broke", None)
    with pytest.raises(NotFound):
        await place.desk.explainer.explain("j-none.0000")


async def test_explain_says_that_no_live_follower_can_run_it(place: Workplace) -> None:
    """The one that could has fallen silent."""
    job = await place.submit()
    place.clock.advance(3600)
    told = await place.desk.explainer.explain(job.runs[0].id)
    assert (told.why, told.starts_in, told.position) == ("no-follower", None, None)
    assert "no live follower can run it" in told.words


async def ran(place: Workplace, given: Assignment, *, setup_s: float, collection_s: float) -> None:
    """An attempt that took these times around its window of one second, told by a clock that is a day off."""
    began = place.clock.utc_now()
    place.clock.advance(setup_s)
    load = ProgressEvent(n=1, at=place.clock.utc_now(), kind="measuring", message="")
    call = {"incarnation": "i-1", "attempt": given.attempt, "fence": given.fence}
    await place.desk.queue.progress("f1", given.run_id, Progress(**call, events=(load,)))
    place.clock.advance(1.0 + collection_s)
    result = success(given, started_at=began, finished_at=place.clock.utc_now())
    assert (await place.desk.queue.deliver("f1", given.run_id, result)).accepted


async def test_predictions_follow_what_runs_took(place: Workplace, mongo_url: str) -> None:
    """After three runs the plan says what they took; a leader that starts then has learnt the same."""
    prior = await place.desk.planner.plan(spec())
    await place.submit(repeats=3)
    for _ in range(3):
        await ran(place, await place.claimed(), setup_s=20.0, collection_s=4.0)
    learnt = await place.desk.planner.plan(spec())
    assert prior.predicted_s == pytest.approx(1.0 + 2.0 + 2.0 + 1.5)
    assert learnt.predicted_s == pytest.approx(25.0)
    assert learnt.predicted_p90_s == pytest.approx(25.0)
    job = await place.submit()
    assert (job.runs[0].predicted_s, job.runs[0].predicted_p90_s) == pytest.approx((25.0, 25.0))
    async with workplace(mongo_url, followers=0) as later:
        assert (await later.desk.planner.plan(spec())).predicted_s == pytest.approx(25.0)


async def test_early_binding_is_kept_with_the_runs(mongo_url: str) -> None:
    """Round-robin binds on arrival: a run waits for its own slot while another is idle, also after a restart."""
    async with workplace(mongo_url, followers=2) as place:
        await set_to(place, placement="round-robin", order="first-come")
        job = await place.submit(repeats=4)
        first = await place.claimed("f1")
        await place.desk.queue.deliver("f1", first.run_id, failure(first))
        second = await place.claimed("f1")
        assert [job.runs.index(run) for run in job.runs if run.id in (first.run_id, second.run_id)] == [0, 2]
        async with workplace(mongo_url, followers=0) as later:
            later.clock.now = place.clock.now
            bound = {run.run_id: run.bound_to for run in later.desk.lineup.backlog}
            assert {key.follower for key in bound.values() if key} == {"f2"}
            assert len(bound) == 2


async def test_a_run_that_comes_while_every_slot_is_busy_is_bound_all_the_same(mongo_url: str) -> None:
    """Nobody claims then; the round that binds does not wait for it, and late binding binds nothing."""
    async with workplace(mongo_url, followers=2) as place:
        await place.submit(repeats=2, seconds=60)
        for follower in ("f1", "f2"):
            await place.claimed(follower)
        late = (await place.submit(seconds=5)).runs[0]
        await place.desk.dispatcher.bind_waiting()
        assert place.desk.lineup.backlog[late.id].bound_to is None
        await set_to(place, placement="queue-aware", order="shortest-first")
        await place.desk.dispatcher.bind_waiting()
        bound = place.desk.lineup.backlog[late.id].bound_to
        assert bound is not None
        assert [run.bound_to for run in await place.db.runs.waiting(limit=10)] == [bound]
        await place.desk.dispatcher.bind_waiting()
        assert place.desk.lineup.backlog[late.id].bound_to == bound


async def test_a_queue_that_is_read_again_is_the_same(place: Workplace) -> None:
    """Claimed, requeued, cancelled and new runs: what was kept in step is what a fresh look finds."""
    await place.submit(team="a", repeats=3)
    cancelled = await place.submit(team="b")
    await place.claimed()
    await place.desk.submissions.cancel_run(cancelled.runs[0].id)
    kept = {run.run_id: replace(run, seq=0) for run in place.desk.lineup.backlog}
    live = {run.id for run in place.desk.lineup.live}
    await place.desk.lineup.look_now()
    assert {run.run_id: replace(run, seq=0) for run in place.desk.lineup.backlog} == kept
    assert {run.id for run in place.desk.lineup.live} == live
    assert (len(kept), len(live)) == (2, 1)
