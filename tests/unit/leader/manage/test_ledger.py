"""What an ended run took, told from its own story and evidence. No store."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from support.clocks import FakeClock
from support.stored_records import record
from support.stored_runs import T0, lease, run

from leader.manage.ledger import QUOTA_PERIOD, SUMMED_EVERY_NS, Ledger, occupations_s, spent_by
from leader.manage.story import event_of
from leader.perfdb.entities import Event, Evidence, Run, Spent
from shared.jobs import lifecycle
from shared.jobs.lifecycle import Cause, RunStatus
from shared.scheduling.setup_times import Served
from shared.wire.assignment import Failure, Result, Success

SPEC = {
    "model": {"generate": {"family": "fc", "layers": 1, "width": 8}},
    "workload": {"pattern": "closed", "warmup": "2s", "duration": "90s"},
}
KIND = Served("onnxruntime", "fc layers=1 width=8", "fc")


def at(seconds: float) -> datetime:
    """Seconds after the beginning."""
    return T0 + timedelta(seconds=seconds)


def moved(before: Run, status: RunStatus, seconds: float) -> Run:
    """The run after a move, with the leader's own event of it."""
    event = event_of(before, status, at(seconds))
    history = (*before.history, event) if event else before.history
    return replace(before, status=status, history=history, follower=status.lease.follower if status.lease else "f1")


def claimed(before: Run, seconds: float) -> Run:
    """Given to f1."""
    return moved(before, lifecycle.claim(before.status, lease(), at(seconds)), seconds)


def succeeded(claimed_at: float = 10.0, ended_at: float = 110.0) -> Run:
    """A run with one attempt."""
    running = claimed(run(spec=SPEC, served=KIND), claimed_at)
    return moved(running, lifecycle.succeed(running.status), ended_at)


def evidence(of: Run, *, failed: bool = False) -> Evidence:
    """What the last attempt delivered; the follower's clock is a day off."""
    measured = record(of.id, started_at=at(86_401.0), finished_at=at(86_500.0))
    outcome: Success | Failure = Success(record=measured)
    if failed:
        outcome = Failure(cause=Cause.SERVER_DIED, detail="")
    result = Result(incarnation="i-1", attempt=1, fence=1, outcome=outcome)
    return Evidence(run_id=of.id, attempt=1, fence=1, follower="f1", sha256="1", result=result, received_at=at(110.0))


def told(kind: str, seconds: float, n: int = 5) -> Event:
    """A follower's event, by the follower's clock."""
    return Event(run_id="r", fence=1, n=n, at=at(86_400.0 + seconds), kind=kind, message="")


def test_a_run_takes_from_its_claim_to_its_end() -> None:
    """Set-up is the follower's own difference of two stamps, on whatever clock; the rest is collection."""
    story = [told("preparing", 1.0, 1), told("warming-up", 5.0), told("measuring", 7.0)]
    spent = spent_by(succeeded(), evidence(succeeded()), story)
    assert spent is not None
    assert (spent.occupied_s, spent.last_s) == (100.0, 100.0)
    assert spent.setup_s == pytest.approx(4.0)
    assert spent.collection_s == pytest.approx(100.0 - 92.0 - 4.0)
    assert (spent.team, spent.follower, spent.served, spent.ended_at) == ("vision", "f1", KIND, at(110.0))
    assert (spent.submitted_at, spent.device) == (T0, "cpu")


def test_every_attempt_counts_for_the_team_and_the_last_for_predictions() -> None:
    """A lost attempt of 20 s and one of 100 s."""
    first = claimed(run(spec=SPEC), 0.0)
    back = moved(first, lifecycle.requeue(first.status, Cause.LEASE_EXPIRED, "silent", at(20.0)), 20.0)
    again = claimed(back, 50.0)
    done = moved(again, lifecycle.succeed(again.status), 150.0)
    assert occupations_s(done) == [20.0, 100.0]
    spent = spent_by(done, evidence(done), [])
    assert spent is not None
    assert (spent.occupied_s, spent.last_s) == (120.0, 100.0)
    assert spent.served == KIND  # of an older run it is told from the spec


def test_without_a_story_or_a_success_no_set_up_is_learnt() -> None:
    """What was not seen is not made up; the slot was taken all the same."""
    done = succeeded()
    for found, story in (
        (None, [told("warming-up", 5.0)]),
        (evidence(done), [told("preparing", 1.0)]),
        (evidence(done, failed=True), [told("warming-up", 5.0)]),
    ):
        spent = spent_by(done, found, story)
        assert spent is not None
        assert (spent.setup_s, spent.collection_s, spent.occupied_s) == (None, None, 100.0)


def test_a_run_that_was_never_claimed_or_goes_on_took_nothing_yet() -> None:
    """A cancelled queued run, and a running one."""
    queued = run(spec=SPEC)
    cancelled = moved(queued, lifecycle.cancel(queued.status), 5.0)
    assert spent_by(cancelled, None, []) is None
    assert spent_by(claimed(queued, 1.0), None, []) is None


class Shelf:
    """SpentStore in memory."""

    def __init__(self) -> None:
        self.entries: dict[str, Spent] = {}

    async def put(self, spent: Spent) -> None:
        self.entries[spent.run_id] = spent

    async def newest(self, *, since: datetime | None, limit: int) -> list[Spent]:
        found = [one for one in self.entries.values() if since is None or one.ended_at >= since]
        return sorted(found, key=lambda one: one.ended_at, reverse=True)[:limit]


class Stories:
    """EventStore whose every run began its load four seconds after it started."""

    async def append(self, events: Sequence[Event]) -> None:
        raise AssertionError(f"a ledger tells no events: {events}")

    async def after(self, run_id: str, position: tuple[int, int], *, limit: int) -> list[Event]:
        assert (run_id, position, limit > 0) == (run().id, (1, 0), True)
        return [told("warming-up", 5.0)]


def entry(number: int, *, team: str = "vision", seconds: float = 100.0, ended_at: datetime = T0) -> Spent:
    """An entry as another leader wrote it."""
    return Spent(
        run_id=f"r{number}", team=team, follower="f1", served=KIND, occupied_s=seconds, last_s=seconds,
        predicted_s=80.0, predicted_p90_s=None, setup_s=3.0, collection_s=1.0, ended_at=ended_at,
    )  # fmt: skip


def ledger_at(now: datetime) -> tuple[Ledger, Shelf, FakeClock]:
    """An empty ledger on an empty shelf."""
    shelf, clock = Shelf(), FakeClock()
    clock.advance((now - clock.utc_now()).total_seconds())
    return Ledger(shelf, Stories(), clock), shelf, clock


async def test_what_is_noted_is_stored_and_known_at_once() -> None:
    """And only once, however often it is noted."""
    ledger, shelf, _ = ledger_at(at(200.0))
    done = succeeded()
    await ledger.note(done, evidence(done))
    await ledger.note(done, evidence(done))
    assert list(shelf.entries) == [done.id]
    assert ledger.use(1e9)["vision"].spent_s == 100.0
    assert ledger.learnt.is_warm(KIND, "f1")


async def test_use_halves_once_per_half_life_and_leaves_the_quota_after_its_period() -> None:
    """100 s that ended a half-life ago count 50; a day later they do not count for the quota."""
    ledger, shelf, clock = ledger_at(at(3600.0))
    shelf.entries = {"r1": entry(1)}
    await ledger.refresh()
    assert ledger.use(3600.0)["vision"].decayed_s == pytest.approx(50.0)
    assert ledger.use(3600.0)["vision"].spent_s == 100.0
    clock.advance(QUOTA_PERIOD.total_seconds() + SUMMED_EVERY_NS / 1e9)
    assert ledger.use(3600.0)["vision"].spent_s == 0.0


async def test_entries_of_other_leaders_come_with_the_next_look() -> None:
    """Also one that was written late, within the overlap; each counts once."""
    ledger, shelf, _ = ledger_at(at(100.0))
    shelf.entries = {"r1": entry(1, ended_at=at(50.0))}
    await ledger.refresh()
    shelf.entries["r2"] = entry(2, ended_at=at(20.0))
    shelf.entries["r3"] = entry(3, team="speech", ended_at=at(60.0))
    for _ in range(2):
        await ledger.refresh()
    use = ledger.use(1e9)
    assert use["vision"].decayed_s == pytest.approx(200.0, rel=1e-3)
    assert use["speech"].decayed_s == pytest.approx(100.0, rel=1e-3)
    assert [one.predicted_s / one.last_s for one in ledger.succeeded()] == [0.8, 0.8, 0.8]


@pytest.mark.parametrize("end", [lifecycle.cancel, lambda status: lifecycle.invalidate(status, "busy")])
async def test_only_what_ended_without_a_record_counts_at_once(end: Callable[[RunStatus], RunStatus]) -> None:
    """It is in no store yet, and counted once when it comes there; a record's usage comes with its evidence."""
    ledger, shelf, _ = ledger_at(at(200.0))
    held = claimed(run(spec=SPEC, served=KIND), 10.0)
    ended = moved(held, end(held.status), 110.0)
    await ledger.watch(held)
    await ledger.watch(ended)
    expected = {} if ended.status.state.has_record else {"vision": 100.0}
    assert {team: use.spent_s for team, use in ledger.use(1e9).items()} == expected
    assert shelf.entries == {}
    await ledger.note(ended)
    assert list(shelf.entries) == [ended.id]
    assert ledger.use(1e9)["vision"].spent_s == 100.0


async def test_what_ended_within_a_time_is_known_without_the_store() -> None:
    """What ended before it is left out."""
    ledger, shelf, _ = ledger_at(at(100.0))
    shelf.entries = {"r1": entry(1, ended_at=at(10.0)), "r2": entry(2, ended_at=at(60.0))}
    await ledger.refresh()
    shelf.entries.clear()
    assert [one.run_id for one in ledger.ended_since(at(10.001))] == ["r2"]
    assert len(ledger.ended_since(at(10.0))) == 2


async def test_a_sum_that_is_kept_is_the_sum_made_anew() -> None:
    """Adding as entries come gives what adding all of them gives."""
    ledger, _, clock = ledger_at(at(110.0))
    assert ledger.use(100.0) == {}
    done = succeeded()
    await ledger.note(done, evidence(done))
    kept = ledger.use(100.0)["vision"]
    clock.advance(SUMMED_EVERY_NS / 1e9)
    anew = ledger.use(100.0)["vision"]
    assert kept.at(anew.as_of_s, 100.0) == pytest.approx(anew.decayed_s)
