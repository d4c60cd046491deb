"""Announcing on the embedded database: a leader that dies between storing and ringing, and one beside another."""

import time

import pytest
from support.desks import Workplace, workplace

from leader.manage.lineup import SMALL
from shared.errors import Unavailable


class Died(Exception):
    """The leader's process is gone."""


async def test_a_job_whose_leader_died_before_it_rang_is_announced_by_the_next(
    place: Workplace, mongo_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The submit was never answered, but the job is stored: followers hear of it in the next leader's first round."""

    def die(*_: object) -> None:
        raise Died

    monkeypatch.setattr(place.desk.submissions, "_ring", die)
    with pytest.raises(Died):
        await place.submit("key", repeats=2)
    assert place.bell.rung == []
    async with workplace(mongo_url, followers=0, clock=place.clock) as later:
        assert await later.desk.outbox.run_once() == 1
        assert later.bell.rung == ["f1"]
        assert await later.claim() is not None
        assert await later.desk.outbox.run_once() == 0


async def test_a_job_whose_leader_died_before_its_runs_were_stored_is_announced_when_they_are(
    place: Workplace, mongo_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next leader's reconciler stores them; its outbox tells the followers."""

    async def die(*_: object) -> None:
        raise Unavailable("the power is cut")

    monkeypatch.setattr(place.db.runs, "add_all", die)
    with pytest.raises(Unavailable):
        await place.submit("key", repeats=2)
    async with workplace(mongo_url, followers=0, clock=place.clock) as later:
        assert await later.desk.outbox.run_once() == 0
        assert later.bell.rung == []
        await later.desk.reconciler.run_once()
        later.clock.advance(1.0)
        assert await later.desk.outbox.run_once() == 1
        assert later.bell.rung == ["f1"]
        assert len(later.desk.lineup.backlog) == 2


async def test_another_leaders_submit_is_seen_in_a_round_however_long_the_queue_is(mongo_url: str) -> None:
    """Of a long queue the line-up makes no look of its own for minutes; the round takes milliseconds."""
    async with workplace(mongo_url) as here, workplace(mongo_url, followers=0, clock=here.clock) as there:
        for _ in range(6):
            await here.submit(repeats=100)
        await there.desk.lineup.look_now()
        assert len(there.desk.lineup.backlog) > SMALL
        await there.desk.outbox.run_once()
        there.bell.rung.clear()
        job = await here.submit(priority="high")
        assert here.bell.rung == ["f1"] * 7
        began_s = time.monotonic()
        assert await there.desk.outbox.run_once() == 1
        assert time.monotonic() - began_s < 1.0
        assert there.bell.rung == ["f1"]
        assert (await there.claimed()).job_id == job.id
        assert await here.desk.outbox.run_once() == 0
        late = await here.submit(priority="high")
        assert late.runs[0].id not in there.desk.lineup.backlog
        told = await there.desk.explainer.explain(late.runs[0].id)
        assert (told.why, told.position, told.queued) == ("waiting", 1, 601)
