"""Followers as the leader knows them: names, restarts, clocks, good-byes, cordons; on the embedded database."""

import asyncio
from datetime import timedelta

import pytest
import structlog
from support.desks import Workplace, failure, registration, success, workplace

from shared.errors import Conflict, NotFound
from shared.jobs.lifecycle import Cause, RunState
from shared.wire.assignment import Progress, ProgressEvent
from shared.wire.identity import Heartbeat, Registration

DAY = timedelta(days=1)


def agent(home: str, incarnation: str = "i-1", name: str = "f1") -> Registration:
    """A follower's registration by the agent of this home."""
    return registration(name, incarnation).model_copy(update={"home": home})


async def beat(place: Workplace, incarnation: str = "i-1", **said: object) -> None:
    """f1 is heard of."""
    heartbeat = Heartbeat.model_validate({"incarnation": incarnation, **said})
    await place.desk.followers.heartbeat("f1", heartbeat)


async def cause_of(place: Workplace, run_id: str) -> Cause | None:
    """Why the run was requeued last."""
    return (await place.desk.reads.run(run_id)).cause


async def test_another_agent_cannot_take_a_name_that_is_in_use(mongo_url: str) -> None:
    """It is told; the first keeps the name and its run."""
    async with workplace(mongo_url, followers=0) as place:
        await place.desk.followers.register(agent("home-a"))
        await place.submit()
        given = await place.claimed()
        place.clock.advance(10)
        await beat(place)
        place.clock.advance(10)
        with pytest.raises(Conflict, match=r"another agent, on host 'f1'.*heard 10 s ago"):
            await place.desk.followers.register(agent("home-b", "i-2"))
        await place.renew(given, started=True)
        await beat(place)
        assert await place.state(given.run_id) is RunState.RUNNING


async def test_a_name_is_free_once_its_agent_was_silent_for_lease_and_grace(mongo_url: str) -> None:
    """Its run is taken back with the name; when it wakes up, it is told to stop."""
    async with workplace(mongo_url, followers=0) as place:
        await place.desk.followers.register(agent("home-a"))
        await place.submit()
        given = await place.claimed()
        for seconds, free in ((16, False), (1.9, False), (0.2, True)):
            place.clock.advance(seconds)
            if not free:  # silent, but what it was executing may be running still
                with pytest.raises(Conflict):
                    await place.desk.followers.register(agent("home-b", "i-2"))
        await place.desk.followers.register(agent("home-b", "i-2"))
        assert await place.state(given.run_id) is RunState.QUEUED
        assert await cause_of(place, given.run_id) is Cause.FOLLOWER_DIED
        with pytest.raises(Conflict):
            await beat(place, "i-1")


async def test_a_restart_has_its_name_and_its_runs_back_at_once(mongo_url: str) -> None:
    """The same home: its agent died, and everybody is rung for the run that it had."""
    async with workplace(mongo_url, followers=0) as place:
        await place.desk.followers.register(agent("home-a"))
        await place.submit()
        given = await place.claimed()
        await place.renew(given, started=True)
        await place.desk.followers.register(agent("home-a", "i-2"))
        assert await place.state(given.run_id) is RunState.QUEUED
        assert await cause_of(place, given.run_id) is Cause.FOLLOWER_DIED
        with pytest.raises(Conflict):
            await beat(place, "i-1")
        await beat(place, "i-2")


async def test_of_agents_that_register_at_once_exactly_one_has_the_name(mongo_url: str) -> None:
    """A name that nobody had, and one whose agent is long gone; the others are told who was faster."""
    async with workplace(mongo_url, followers=0) as place, workplace(mongo_url, followers=0) as other:
        for round_ in range(3):
            rivals = [agent(f"home-{n}", f"i-{round_}-{n}") for n in range(6)]
            desks = [place.desk, other.desk] * 3
            answers = await asyncio.gather(
                *(desk.followers.register(one) for desk, one in zip(desks, rivals, strict=True)), return_exceptions=True
            )
            refused = [answer for answer in answers if isinstance(answer, BaseException)]
            assert len(refused) == 5
            assert all(isinstance(error, Conflict) for error in refused)
            (winner,) = [one for one, answer in zip(rivals, answers, strict=True) if answer not in refused]
            assert (await place.db.followers.get("f1")).registration == winner
            place.clock.advance(100)
            other.clock.advance(100)


async def test_who_says_good_bye_leaves_name_and_life(mongo_url: str) -> None:
    """It is shown as stopped, gets no bell, and its name is free at once; a run that it still held was not its loss."""
    async with workplace(mongo_url, followers=0) as place:
        await place.desk.followers.register(agent("home-a"))
        await place.submit()
        given = await place.claimed()
        await beat(place, leaving=True)
        (view,) = await place.desk.followers.list()
        assert (view.alive, view.stopped) == (False, True)
        place.bell.rung.clear()
        await place.desk.followers.ring_all()
        assert place.bell.rung == []
        await place.desk.followers.register(agent("home-b", "i-2"))
        assert await cause_of(place, given.run_id) is Cause.FOLLOWER_STOPPED
        (view,) = await place.desk.followers.list()
        assert (view.alive, view.stopped) == (True, False)


@pytest.mark.parametrize("ahead", [DAY, -DAY])
async def test_a_follower_whose_clock_is_a_day_off_works_like_any_other(place: Workplace, ahead: timedelta) -> None:
    """It claims, renews, tells and delivers; every time that is kept is the leader's."""

    def told() -> str:
        return (place.clock.utc_now() + ahead).isoformat()

    await place.desk.followers.register(agent("home").model_copy(update={"utc_now": place.clock.utc_now() + ahead}))
    place.clock.advance(1)
    await place.submit()
    given = await place.claimed()
    for _ in range(4):
        place.clock.advance(9)
        await place.renew(given, started=True)
        await beat(place, utc_now=told())
        assert await place.desk.reaper.run_once() == 0
    measuring = ProgressEvent.model_validate({"n": 1, "at": told(), "kind": "measuring", "message": "m"})
    progress = Progress(incarnation="i-1", attempt=1, fence=given.fence, events=(measuring,))
    await place.desk.queue.progress("f1", given.run_id, progress)
    now = place.clock.utc_now()
    started, finished = now - timedelta(seconds=35), now
    result = success(given, started_at=started + ahead, finished_at=finished + ahead)
    assert (await place.desk.queue.deliver("f1", given.run_id, result)).accepted
    record = await place.db.records.get(given.run_id)
    assert (record.started_at, record.finished_at) == (started, finished)
    assert any("86400 s" in note for note in record.notes)
    (event,) = [event for event in await place.desk.events.after(given.run_id, None) if event.kind == "measuring"]
    assert event.at == now
    task = await place.db.records.task(record.comparability_key)
    assert task is not None
    assert task.last_at == finished


async def test_a_wrong_clock_is_shown_and_warned_of_once(place: Workplace) -> None:
    """Once when it goes wrong, and once more when it does so again."""
    with structlog.testing.capture_logs() as logs:
        for off_s, shown in ((0, 0.0), (-5, 5.0), (-6, 6.0), (-86_400, 86_400.0), (0, 0.0), (7, -7.0), (8, -8.0)):
            await beat(place, utc_now=(place.clock.utc_now() + timedelta(seconds=off_s)).isoformat())
            (view,) = await place.desk.followers.list()
            assert view.clock_offset_s == shown
    warned = [(log["log_level"], log["offset_s"]) for log in logs if log["event"] == "follower.clock_off"]
    assert warned == [("warning", 6.0), ("warning", -7.0)]
    await beat(place)
    assert (await place.desk.followers.list())[0].clock_offset_s is None


async def test_a_cordoned_follower_finishes_and_gets_nothing_new(place: Workplace) -> None:
    """Also after a restart; and work again as soon as it is uncordoned, for which it is rung."""
    await place.submit(repeats=2)
    given = await place.claimed()
    view = await place.desk.followers.cordon("f1", cordoned=True)
    assert (view.cordoned, view.running) == (True, (given.run_id,))
    assert await place.renew(given, started=True) == 15.0
    assert (await place.desk.queue.deliver("f1", given.run_id, success(given))).accepted
    assert await place.claim() is None
    await place.desk.followers.register(registration("f1", "i-2"))
    assert await place.claim(incarnation="i-2") is None
    place.bell.rung.clear()
    assert (await place.desk.followers.cordon("f1", cordoned=False)).running == ()
    assert place.bell.rung == ["f1"]
    assert await place.claim(incarnation="i-2") is not None


async def test_a_run_that_its_cordoned_follower_fails_goes_to_another(mongo_url: str) -> None:
    """It does not come back to the follower that drains."""
    async with workplace(mongo_url, followers=2) as place:
        await place.submit()
        given = await place.claimed("f1")
        await place.desk.followers.cordon("f1", cordoned=True)
        await place.desk.queue.deliver("f1", given.run_id, failure(given, Cause.FOLLOWER_STOPPED))
        place.clock.advance(100)
        for number in (1, 2):
            await place.desk.followers.heartbeat(f"f{number}", Heartbeat(incarnation="i-1"))
        assert await place.claim("f1") is None
        assert (await place.claimed("f2")).run_id == given.run_id


async def test_only_a_known_follower_is_cordoned(place: Workplace) -> None:
    """Others are not found."""
    with pytest.raises(NotFound):
        await place.desk.followers.cordon("f9", cordoned=True)
