"""What scheduling needs of PerfDB, on every server that this runs on."""

from dataclasses import replace
from datetime import timedelta

import pytest
from support.stored_runs import T0, claimed, lease, registration, run

from leader.perfdb.entities import Spent
from leader.perfdb.mongo import MongoPerfDB
from shared.errors import NotFound
from shared.jobs.lifecycle import Cause, requeue
from shared.scheduling.backlog import SlotKey
from shared.scheduling.setup_times import Served

KIND = Served("onnxruntime", 'a "model" with $x.y', "family")


async def test_what_scheduling_knows_of_a_run_is_kept(db: MongoPerfDB) -> None:
    """The run as a whole, and as one that waits."""
    deadline = T0 + timedelta(hours=1)
    stored = run(predicted_p90_s=20.0, served=KIND, deadline_at=deadline, priority="urgent")
    await db.runs.add_all([stored, run(2)])
    assert await db.runs.get(stored.id) == stored
    urgent, plain = await db.runs.waiting(limit=10)
    assert (urgent.id, urgent.predicted_s, urgent.predicted_p90_s) == (stored.id, 12.5, 20.0)
    assert (urgent.served, urgent.deadline_at, urgent.needs, urgent.fence) == (KIND, deadline, stored.needs, 0)
    assert (urgent.team, urgent.job_id, urgent.created_at) == (stored.team, stored.job_id, stored.created_at)
    assert (plain.served, plain.deadline_at, plain.bound_to, plain.predicted_p90_s) == (None, None, None, None)


async def test_only_queued_runs_wait_and_only_leased_ones_run(db: MongoPerfDB) -> None:
    """In the order of classes, then lengths; a requeued one has another fence."""
    await db.runs.add_all([run(1, predicted_s=9.0), run(2, predicted_s=3.0), run(3, priority="high"), run(4)])
    first = await claimed(db, run(4))
    again = await claimed(db, run(1, predicted_s=9.0), lease("f2"))
    back = await db.runs.move(again, requeue(again.status, Cause.LEASE_EXPIRED, "silent", T0), at=T0)
    assert back is not None
    waiting = await db.runs.waiting(limit=10)
    assert [(one.id, one.fence) for one in waiting] == [(run(3).id, 0), (run(2).id, 0), (run(1).id, 2)]
    assert [one.id for one in await db.runs.leased()] == [first.id]
    assert len(await db.runs.waiting(limit=2)) == 2


async def test_a_binding_is_kept_while_a_run_waits(db: MongoPerfDB) -> None:
    """One that was claimed meanwhile is left as it is."""
    await db.runs.add_all([run(1), run(2), run(3)])
    await claimed(db, run(3))
    slot = SlotKey("f1.$x", "cpu-0")
    await db.runs.bind([run(1).id, run(3).id], slot)
    assert [one.bound_to for one in await db.runs.waiting(limit=10)] == [slot, None]


def spent(number: int, **changes: object) -> Spent:
    """An entry of the ledger."""
    entry = Spent(
        run_id=f"j-{number}.0000", team="vision", follower="f1", served=KIND, occupied_s=12.5, last_s=10.0,
        predicted_s=9.0, predicted_p90_s=None, setup_s=1.5, collection_s=None,
        submitted_at=T0 - timedelta(seconds=1), device="cuda", ended_at=T0 + timedelta(seconds=number),
    )  # fmt: skip
    return replace(entry, **changes)  # type: ignore[arg-type]  # fields of Spent


async def test_what_runs_took_comes_back_newest_first(db: MongoPerfDB) -> None:
    """All of it, since a time, or at most so many; storing one again changes nothing."""
    for entry in (spent(1), spent(3), spent(2), spent(3)):
        await db.spent.put(entry)
    assert await db.spent.newest(since=None, limit=10) == [spent(3), spent(2), spent(1)]
    assert await db.spent.newest(since=spent(2).ended_at, limit=10) == [spent(3), spent(2)]
    assert await db.spent.newest(since=None, limit=1) == [spent(3)]


async def test_settings_are_replaced_as_a_whole(db: MongoPerfDB) -> None:
    """Whatever the names of teams are."""
    assert await db.settings.get("scheduling") is None
    await db.settings.put("scheduling", {"quotas": {"a.$b": {"running": 1}}, "aging": 0.5})
    await db.settings.put("scheduling", {"quotas": {"a.c": {"weight": 2}}})
    assert await db.settings.get("scheduling") == {"quotas": {"a.c": {"weight": 2}}}


async def test_a_cordon_outlives_a_registration(db: MongoPerfDB) -> None:
    """Only the registration is new."""
    await db.followers.put(registration(), at=T0)
    await db.followers.cordon("f1", cordoned=True)
    older = await db.followers.get("f1")
    assert await db.followers.put(registration(incarnation="i-2"), at=T0 + timedelta(seconds=5), replacing=older)
    found = await db.followers.get("f1")
    assert (found.cordoned, found.registration.incarnation) == (True, "i-2")
    await db.followers.cordon("f1", cordoned=False)
    assert not (await db.followers.all())[0].cordoned
    with pytest.raises(NotFound):
        await db.followers.cordon("f2", cordoned=True)
