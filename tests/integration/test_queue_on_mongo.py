"""The queue on the embedded database: who gets a run, for how long, and who loses it."""

import asyncio

import pytest
from support.desks import Workplace, failure, registration, success, workplace

from shared.errors import (
    Conflict,
    NotFound,
    StaleFence,
)
from shared.jobs.lifecycle import MOST_LOSSES, Cause, RunState
from shared.wire.assignment import Progress
from shared.wire.identity import Heartbeat


async def test_the_shortest_run_is_claimed_first(place: Workplace) -> None:
    """Then the oldest of equals; priority goes before both."""
    long, short, also_short = [(await place.submit(seconds=s)).id for s in (60, 5, 5)]
    urgent = (await place.submit(seconds=600, priority="high")).id
    order = []
    for _ in range(4):
        given = await place.claimed()
        order.append(given.job_id)
        await place.desk.queue.deliver("f1", given.run_id, failure(given))
    assert order == [urgent, short, also_short, long]
    assert await place.claim() is None


async def test_many_followers_run_each_run_once(mongo_url: str) -> None:
    """Eight followers fight for thirty runs."""
    async with workplace(mongo_url, followers=8) as place:
        job = await place.submit(repeats=30)

        async def work(name: str) -> list[str]:
            done = []
            while given := await place.claim(name):
                done.append(given.run_id)
                result = success(given, follower=name)
                assert (await place.desk.queue.deliver(name, given.run_id, result)).accepted
            return done

        ran = await asyncio.gather(*(work(f"f{number}") for number in range(1, 9)))
        everything = sorted(run_id for runs in ran for run_id in runs)
        assert everything == [run.id for run in job.runs]
        assert (await place.desk.reads.job(job.id)).state == "succeeded"


async def test_a_claim_passes_over_what_the_follower_cannot_run(mongo_url: str) -> None:
    """Even if sixty such runs stand before the one that it can."""
    async with workplace(mongo_url) as place:
        await place.desk.followers.register(registration("f2", model_families=("lstm",)))
        await place.submit(repeats=60)
        other = await place.submit(model={"generate": {"family": "lstm"}}, seconds=50)
        assert (await place.claimed("f2")).job_id == other.id


async def test_a_claim_whose_answer_got_lost_gives_the_same_run(place: Workplace) -> None:
    """Once it has started, the slot gets nothing until that attempt is over."""
    await place.submit(repeats=2)
    first, again = await place.claimed(), await place.claimed()
    assert (again.run_id, again.attempt, again.fence) == (first.run_id, first.attempt, first.fence)
    await place.renew(first, started=True)
    assert await place.claim() is None
    await place.desk.queue.deliver("f1", first.run_id, failure(first))
    assert (await place.claimed()).run_id != first.run_id


async def test_two_claims_for_one_slot_at_once_give_one_run(place: Workplace) -> None:
    """The database lets a slot hold one attempt."""
    await place.submit(repeats=4)
    answers = await asyncio.gather(*(place.claim() for _ in range(4)), return_exceptions=True)
    held = await place.db.runs.leased_to("f1")
    assert len(held) == 1
    assert {a.run_id for a in answers if not isinstance(a, BaseException) and a is not None} == {held[0].id}
    assert all(isinstance(a, Conflict) for a in answers if isinstance(a, BaseException))


async def test_only_a_known_follower_slot_and_incarnation_may_claim(place: Workplace) -> None:
    """Others are told to register."""
    await place.submit()
    with pytest.raises(NotFound):
        await place.claim("nobody")
    for slot, incarnation in (("cpu-9", "i-1"), ("cpu-0", "i-0")):
        with pytest.raises(Conflict, match="register again"):
            await place.claim("f1", slot, incarnation)


async def test_an_expired_lease_returns_the_run(place: Workplace) -> None:
    """Only after the grace; the old attempt is refused everywhere; the next one backs off and has a new fence."""
    await place.submit()
    given = await place.claimed()
    place.clock.advance(17)
    assert await place.desk.reaper.run_once() == 0
    place.clock.advance(2)
    assert await place.desk.reaper.run_once() == 1
    assert await place.desk.reaper.run_once() == 0
    with pytest.raises(StaleFence):
        await place.renew(given)
    with pytest.raises(StaleFence):
        await place.upload(given, b"late")
    with pytest.raises(StaleFence):
        await place.desk.queue.progress(
            "f1", given.run_id, Progress(incarnation="i-1", attempt=given.attempt, fence=given.fence, events=())
        )
    assert await place.claim() is None
    place.clock.advance(2)
    next_one = await place.claimed()
    assert (next_one.run_id, next_one.attempt) == (given.run_id, 2)
    assert next_one.fence > given.fence


async def test_a_renewed_lease_is_kept(place: Workplace) -> None:
    """For as long as it is renewed."""
    await place.submit()
    given = await place.claimed()
    for _ in range(5):
        place.clock.advance(14)
        assert await place.renew(given, started=True) == 15.0
        assert await place.desk.reaper.run_once() == 0
    assert await place.state(given.run_id) is RunState.RUNNING


async def test_a_run_that_loses_every_follower_is_quarantined(place: Workplace) -> None:
    """Bounded retries, then an end state with its cause."""
    job = await place.submit()
    for _ in range(MOST_LOSSES):
        await place.claimed()
        place.clock.advance(100)
        assert await place.desk.reaper.run_once() == 1
        place.clock.advance(60)
    run = await place.desk.reads.run(job.runs[0].id)
    assert (run.state, run.cause, run.attempt) == (RunState.QUARANTINED, Cause.LEASE_EXPIRED, MOST_LOSSES)
    assert (await place.desk.reads.job(job.id)).state == "failed"


async def test_a_follower_started_anew_gives_its_runs_back_at_once(place: Workplace) -> None:
    """Those of its older incarnation; registering again as the same one changes nothing."""
    await place.submit()
    given = await place.claimed()
    await place.desk.followers.register(registration("f1", "i-1"))
    assert await place.state(given.run_id) is RunState.CLAIMED
    await place.desk.followers.register(registration("f1", "i-2"))
    assert await place.state(given.run_id) is RunState.QUEUED
    place.clock.advance(2)
    assert (await place.claimed("f1", incarnation="i-2")).attempt == 2


async def test_followers_are_listed_with_life_and_work(place: Workplace) -> None:
    """Alive as long as they were heard of within the lease."""
    await place.submit()
    given = await place.claimed()
    place.clock.advance(14)
    await place.desk.followers.heartbeat("f1", Heartbeat(incarnation="i-1", busy_slots=("cpu-0",)))
    place.clock.advance(14)
    (view,) = await place.desk.followers.list()
    assert (view.name, view.alive, view.running) == ("f1", True, (given.run_id,))
    place.clock.advance(2)
    assert not (await place.desk.followers.list())[0].alive
    with pytest.raises(Conflict):
        await place.desk.followers.heartbeat("f1", Heartbeat(incarnation="i-0"))
    with pytest.raises(NotFound):
        await place.desk.followers.heartbeat("f9", Heartbeat(incarnation="i-0"))


async def test_a_cancel_is_final_at_once(place: Workplace) -> None:
    """Whatever the attempt still sends is refused or superseded, and its follower is rung."""
    await place.submit()
    given = await place.claimed()
    await place.renew(given, started=True)
    place.bell.rung.clear()
    view = await place.desk.submissions.cancel_run(given.run_id)
    assert (view.state, view.cause) == (RunState.CANCELLED, Cause.CANCELLED_BY_USER)
    assert place.bell.rung == ["f1"]
    with pytest.raises(StaleFence):
        await place.renew(given)
    answer = await place.desk.queue.deliver("f1", given.run_id, success(given))
    assert (answer.accepted, answer.state) == (False, "cancelled")
    with pytest.raises(Conflict, match="cancelled already"):
        await place.desk.submissions.cancel_run(given.run_id)


async def test_cancelling_a_job_ends_what_has_not_ended(place: Workplace) -> None:
    """Finished runs keep their state; cancelling again changes nothing."""
    job = await place.submit(repeats=3)
    given = await place.claimed()
    await place.desk.queue.deliver("f1", given.run_id, success(given))
    await place.claimed()
    view = await place.desk.submissions.cancel_job(job.id)
    assert (view.state, view.run_states) == ("cancelled", {RunState.SUCCEEDED: 1, RunState.CANCELLED: 2})
    assert (await place.desk.submissions.cancel_job(job.id)).run_states == view.run_states
    assert await place.claim() is None
    with pytest.raises(Conflict, match="succeeded already"):
        await place.desk.submissions.cancel_run(given.run_id)


async def test_cancel_and_success_at_once_have_one_winner(place: Workplace) -> None:
    """Both sides are told the same."""
    for _ in range(5):
        job = await place.submit()
        given = await place.claimed()
        delivered, cancelled = await asyncio.gather(
            place.desk.queue.deliver("f1", given.run_id, success(given)),
            place.desk.submissions.cancel_run(given.run_id),
            return_exceptions=True,
        )
        state = await place.state(job.runs[0].id)
        assert not isinstance(delivered, BaseException)
        assert delivered.accepted == (state is RunState.SUCCEEDED)
        assert isinstance(cancelled, Conflict) == (state is RunState.SUCCEEDED)
