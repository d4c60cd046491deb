"""Each metric says what is so: scripted situations on the embedded database, read as Prometheus reads them."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from support.desks import Workplace, failure, success, workplace

from leader.api import scrape
from leader.api.context import Leader
from leader.auth.tokens import Authenticator
from leader.background import Background
from leader.metrics import RequestMetrics
from leader.settings import LeaderSettings
from shared.jobs.lifecycle import MOST_LOSSES
from shared.wire.assignment import Assignment, Progress, ProgressEvent
from shared.wire.identity import Heartbeat
from shared.wire.scheduling import SchedulingSettings


@pytest.fixture
async def place(mongo_url: str) -> AsyncIterator[Workplace]:
    """A desk with two followers of one CPU slot each."""
    async with workplace(mongo_url, followers=2) as opened:
        yield opened


async def scraped(place: Workplace) -> dict[str, dict[tuple[str, ...], float]]:
    """Metric -> values of its labels, in the order of their names -> value. Without those of the process."""
    settings: Any = {"mongo_url": "mongodb://127.0.0.1"}
    leader = Leader(
        settings=LeaderSettings(**settings), clock=place.clock, desk=place.desk, bell=place.bell,
        authenticator=Authenticator(place.db.tokens, place.clock), background=Background({}, place.clock),
        request_metrics=RequestMetrics(),
    )  # fmt: skip
    text = leader.request_metrics.render(await scrape.snapshot(leader)).decode()
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = tuple(value for _, value in sorted(sample.labels.items()))
            found.setdefault(sample.name.removeprefix("inferbench_"), {})[labels] = sample.value
    return found


async def slot_seconds(place: Workplace) -> dict[tuple[str, ...], float]:
    """What was counted up to now."""
    await place.desk.utilisation.run_once()
    return (await scraped(place)).get("slot_seconds_total", {})


async def beat(place: Workplace, *names: str) -> None:
    """They are alive."""
    for name in names:
        await place.desk.followers.heartbeat(name, Heartbeat(incarnation="i-1"))


async def test_slot_time_goes_to_what_the_slots_were_at(place: Workplace) -> None:
    """Two slots: idle for 4 s; then a run waits that one could start, for 3 s; then it runs, for 5 s."""
    assert await slot_seconds(place) == {}
    place.clock.advance(4)
    assert await slot_seconds(place) == {("cpu", "idle"): 8}
    await place.submit()
    await place.desk.utilisation.run_once()
    place.clock.advance(3)
    assert await slot_seconds(place) == pytest.approx(
        {("cpu", "idle"): 11, ("cpu", "idle-while-eligible"): 3}, abs=0.01
    )
    await place.claimed("f1")
    await place.desk.utilisation.run_once()
    place.clock.advance(5)
    assert await slot_seconds(place) == pytest.approx(
        {("cpu", "idle"): 16, ("cpu", "idle-while-eligible"): 3, ("cpu", "busy"): 5}, abs=0.01
    )


async def test_a_cordoned_slot_and_a_silent_followers_are_told_apart(place: Workplace) -> None:
    """Neither is idle beside the run that waits: f2 is cordoned; then f1 is silent, too."""
    await place.desk.followers.cordon("f2", cordoned=True)
    await place.submit()
    await place.claimed("f1")
    await place.submit()
    await place.desk.utilisation.run_once()
    place.clock.advance(2)
    assert await slot_seconds(place) == pytest.approx({("cpu", "busy"): 2, ("cpu", "cordoned"): 2}, abs=0.01)
    place.clock.advance(20)
    await beat(place, "f2")
    before = await slot_seconds(place)
    place.clock.advance(4)
    after = await slot_seconds(place)
    assert {kind: after[kind] - before.get(kind, 0) for kind in after} == pytest.approx(
        {("cpu", "busy"): 0, ("cpu", "cordoned"): 4, ("cpu", "unreachable"): 4}, abs=0.01
    )


async def test_time_in_which_nobody_looked_is_not_counted(place: Workplace) -> None:
    """A leader that stood still for an hour, or had no store, knows of ten seconds at most."""
    await place.desk.utilisation.run_once()
    place.clock.advance(3600)
    assert await slot_seconds(place) == {("cpu", "idle"): 20}


async def test_a_follower_that_is_silent_for_a_day_is_missed_no_more(place: Workplace) -> None:
    """Otherwise a host that was taken away would be told of for ever."""
    place.clock.advance(86_401)
    await place.desk.utilisation.run_once()
    place.clock.advance(5)
    assert await slot_seconds(place) == {}


async def test_the_queue_is_told_by_team_and_class_with_its_age(place: Workplace) -> None:
    """Three runs of two teams, the oldest half a minute old; one more is in a follower's hands."""
    first = await place.submit(team="vision", priority="high", repeats=2)
    await place.claimed()
    place.clock.advance(20)
    last = await place.submit(team="speech", seconds=5, repeats=2)
    place.clock.advance(10)
    found = await scraped(place)
    assert found["queue_depth"] == {("high", "vision"): 1, ("normal", "speech"): 2}
    assert found["queue_oldest_seconds"][()] == pytest.approx(30, abs=0.01)
    predicted_s = first.runs[1].predicted_s + sum(run.predicted_s for run in last.runs)
    assert found["queue_predicted_seconds"][()] == pytest.approx(predicted_s)
    assert found["runs"] == {("queued",): 3, ("claimed",): 1, ("running",): 0}
    assert found["followers"] == {("true",): 0, ("false",): 2}
    await beat(place, "f1")
    place.clock.advance(2)
    assert (await scraped(place))["followers"] == {("true",): 1, ("false",): 1}


async def test_an_empty_queue_is_empty(place: Workplace) -> None:
    """No series by team, and no age."""
    found = await scraped(place)
    assert "queue_depth" not in found
    assert (found["queue_oldest_seconds"][()], found["queue_predicted_seconds"][()]) == (0, 0)
    assert not [name for name in found if name.startswith(("team_", "prediction_"))]


async def took(place: Workplace, seconds: float, *, ends_well: bool = False) -> None:
    """A run of so many seconds on f1."""
    given = await place.claimed()
    began = place.clock.utc_now()
    place.clock.advance(seconds)
    if ends_well:
        await measured(place, given, began)
    else:
        await place.desk.queue.deliver("f1", given.run_id, failure(given))


async def measured(place: Workplace, given: Assignment, began: datetime) -> None:
    """It succeeds, and its story tells when its load began: at once."""
    call = {"incarnation": "i-1", "attempt": given.attempt, "fence": given.fence}
    load = ProgressEvent(n=1, at=began, kind="measuring", message="")
    await place.desk.queue.progress("f1", given.run_id, Progress(**call, events=(load,)))
    await place.desk.queue.deliver(
        "f1", given.run_id, success(given, started_at=began, finished_at=place.clock.utc_now())
    )


async def test_a_teams_share_of_use_stands_beside_its_fair_share(place: Workplace) -> None:
    """Of 80 s vision used three quarters, with three quarters of the weight of those two; a third only waits."""
    await place.desk.scheduling.put(SchedulingSettings.model_validate({"quotas": {"vision": {"weight": 2}}}))
    for team, seconds in (("vision", 60), ("speech", 20)):
        await place.submit(team=team)
        await took(place, seconds)
    await place.submit(team="text")
    found = await scraped(place)
    assert found["team_use_share"] == pytest.approx({("vision",): 0.75, ("speech",): 0.25, ("text",): 0}, abs=1e-3)
    assert found["team_fair_share"] == {("vision",): 0.5, ("speech",): 0.25, ("text",): 0.25}
    assert found["team_use_seconds"] == pytest.approx({("vision",): 60, ("speech",): 20}, rel=1e-3)


async def test_ends_and_requeues_are_told_with_their_causes(place: Workplace) -> None:
    """A success, a failure, a cancel, and a run under which one follower after the other was lost."""
    await place.submit(repeats=3)
    await took(place, 1, ends_well=True)
    await took(place, 1)
    cancelled = await place.claimed()
    await place.desk.submissions.cancel_run(cancelled.run_id)
    await place.submit()
    for _ in range(MOST_LOSSES):
        await place.claimed()
        await place.desk.reaper.run_once()
        place.clock.advance(400)
        assert await place.desk.reaper.run_once() == 1
        place.clock.advance(400)
    found = await scraped(place)
    assert found["runs_ended_total"] == {
        ("", "succeeded"): 1,
        ("server-died", "failed"): 1,
        ("cancelled-by-user", "cancelled"): 1,
        ("lease-expired", "quarantined"): 1,
    }
    assert found["requeues_total"] == {("lease-expired",): MOST_LOSSES}
    assert found["lease_expiries_total"] == {(): MOST_LOSSES}


async def test_predictions_are_told_by_what_came_of_them(place: Workplace) -> None:
    """Three runs predicted as 6.5 s, and 12 s at most in nine of ten cases: two took 10 s, one 26 s."""
    await place.submit(repeats=3)
    for seconds in (10.0, 10.0, 26.0):
        await took(place, seconds, ends_well=True)
    found = await scraped(place)
    assert found["prediction_ratio"] == pytest.approx({("0.1",): 0.25, ("0.5",): 0.65, ("0.9",): 0.65}, rel=1e-3)
    assert found["prediction_within_p90"][()] == pytest.approx(2 / 3)
