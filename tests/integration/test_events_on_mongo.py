"""A run's story on the embedded database: complete, ordered, resumable, told at once."""

import asyncio

import pytest
from support.desks import Workplace, failure, success

from leader.manage.events import Events
from leader.perfdb.entities import JobFilter
from shared.errors import (
    InvalidInput,
    NotFound,
)
from shared.wire.assignment import Progress, ProgressEvent
from shared.wire.views import EventView


def step(n: int, kind: str = "measuring") -> ProgressEvent:
    """A follower's event."""
    return ProgressEvent(n=n, at="2026-03-01T12:00:00Z", kind=kind, message="$m", data={"a.b": {"$c": n}})


async def test_a_runs_story_is_complete_ordered_and_resumable(place: Workplace) -> None:
    """Over a lost attempt and a good one; ids grow; nothing is told twice."""
    job = await place.submit()
    run_id = job.runs[0].id
    lost = await place.claimed()
    await report(place, lost.fence, 1, 1, 2)
    place.clock.advance(100)
    await place.desk.reaper.run_once()
    place.clock.advance(2)
    good = await place.claimed()
    await report(place, good.fence, 2, 1)
    await report(place, good.fence, 2, 1, 2)
    await place.desk.queue.deliver("f1", run_id, success(good))
    story = await place.kinds(run_id)
    assert story == [
        ("0.0", "queued"), ("1.0", "claimed"), ("1.1", "measuring"), ("1.2", "measuring"), ("2.0", "requeued"),
        ("3.0", "claimed"), ("3.1", "measuring"), ("3.2", "measuring"), ("3.1000000", "succeeded"),
    ]  # fmt: skip
    for at, (event_id, _) in enumerate(story):
        rest = await place.desk.events.after(run_id, event_id)
        assert [event.id for event in rest] == [identity for identity, _ in story[at + 1 :]]
    with pytest.raises(InvalidInput, match=r"FENCE\.N"):
        await place.desk.events.after(run_id, "$ne")
    with pytest.raises(NotFound):
        await place.desk.events.after("nothing", None)


async def report(place: Workplace, fence: int, attempt: int, *numbers: int) -> None:
    """The follower's progress on the only run."""
    (job,) = await place.db.jobs.page(JobFilter(), before=None, limit=2)
    progress = Progress(incarnation="i-1", attempt=attempt, fence=fence, events=tuple(step(n) for n in numbers))
    await place.desk.queue.progress("f1", f"{job.id}.0000", progress)


async def test_a_watcher_hears_of_news_at_once_and_of_the_end(place: Workplace) -> None:
    """It is woken, not left to look by itself; a quiet time is told as None; the stream ends with the run."""
    job = await place.submit()
    run_id = job.runs[0].id
    patient = Events(place.db.runs, place.db.events, place.desk.queue._listeners, look_every_s=60)
    heard: list[str] = []

    async def watch() -> None:
        events = patient.follow(run_id, None, idle_s=30)
        heard.extend([event.kind if isinstance(event, EventView) else "quiet" async for event in events])

    watching = asyncio.create_task(watch())
    given = await place.claimed()
    await report(place, given.fence, 1, 1)
    await place.desk.queue.deliver("f1", run_id, failure(given))
    await asyncio.wait_for(watching, 20)
    assert heard == ["queued", "claimed", "measuring", "failed"]
    after_the_end = [event async for event in patient.follow(run_id, f"{given.fence}.1000000")]
    assert after_the_end == []


async def test_a_watcher_finds_what_another_leader_did(place: Workplace) -> None:
    """Nobody wakes it; the database is the truth."""
    job = await place.submit()
    lonely = Events(place.db.runs, place.db.events, type(place.desk.queue._listeners)(), look_every_s=0.05)
    stream_of_events = lonely.follow(job.runs[0].id, "0.0", idle_s=0.05)
    assert await anext(stream_of_events) is None
    await place.desk.submissions.cancel_run(job.runs[0].id)
    kinds = [event.kind async for event in stream_of_events if event is not None]
    assert kinds == ["cancelled"]
