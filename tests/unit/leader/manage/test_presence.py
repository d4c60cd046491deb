"""Whether a leader is alone, by marks that grow while others are at work."""

from dataclasses import dataclass, field
from typing import Any

from support.clocks import FakeClock

from leader.manage.presence import BEAT_NS, FORGOTTEN_NS, GONE_NS, Company, Presence


def test_a_mark_that_changes_is_company() -> None:
    """For as long as it did so a moment ago."""
    company = Company()
    assert not company.is_any(0)
    for beat in range(5):
        company.look({"other": beat}, beat * BEAT_NS)
        assert company.is_any(beat * BEAT_NS)
    company.look({"other": 4}, 4 * BEAT_NS + GONE_NS)
    assert company.is_any(4 * BEAT_NS + GONE_NS)
    assert not company.is_any(4 * BEAT_NS + GONE_NS + 1)
    company.look({"other": 5}, 100 * BEAT_NS)
    assert company.is_any(100 * BEAT_NS)


def test_a_mark_that_is_seen_first_is_company_until_it_has_stood_still() -> None:
    """It may have been set this moment, or by a leader that died last year."""
    company = Company()
    company.look({"dead": 7}, 0)
    assert company.is_any(0)
    company.look({"dead": 7}, GONE_NS + 1)
    assert not company.is_any(GONE_NS + 1)


def test_one_leader_at_work_is_company_beside_any_number_of_dead_ones() -> None:
    """Each is looked at by itself; one whose mark was removed is gone."""
    company = Company()
    company.look({"dead": 7, "other": 1}, 0)
    company.look({"dead": 7, "other": 2}, GONE_NS + 1)
    assert company.is_any(GONE_NS + 1)
    company.look({"dead": 7}, GONE_NS + 2)
    assert not company.is_any(GONE_NS + 2)


def test_marks_that_stood_for_an_hour_are_forgotten() -> None:
    """So that restarts do not pile up."""
    company = Company()
    company.look({"dead": 7, "other": 1}, 0)
    company.look({"dead": 7, "other": 2}, FORGOTTEN_NS + 1)
    assert company.forgotten(FORGOTTEN_NS + 1) == ["dead"]


@dataclass
class Marks:
    """LeaderStore."""

    beats: dict[str, int] = field(default_factory=dict)
    writes: int = 0

    async def put(self, name: str, beats: int) -> None:
        self.beats[name] = beats
        self.writes += 1

    async def all(self) -> dict[str, int]:
        return dict(self.beats)

    async def remove(self, name: str) -> None:
        self.beats.pop(name, None)


def leaders(count: int) -> tuple[list[Presence], Marks, FakeClock]:
    """So many on one store."""
    marks, clock = Marks(), FakeClock()
    store: Any = marks
    return [Presence(store, clock) for _ in range(count)], marks, clock


async def test_ones_own_mark_is_no_company() -> None:
    """It beats every few seconds, however often it is asked."""
    (alone,), marks, clock = leaders(1)
    for _ in range(100):
        assert await alone.is_alone()
        clock.advance(0.1)
    assert marks.writes == 2


async def test_two_leaders_see_each_other_until_one_is_gone() -> None:
    """The one that goes on sees that the other's mark stands still, and removes it after an hour."""
    (here, there), marks, clock = leaders(2)
    assert await here.is_alone()
    await there.beat()
    assert not await here.is_alone()
    assert not await there.is_alone()
    for _ in range(20):
        clock.advance(4.0)
        assert [await here.is_alone(), await there.is_alone()] == [False, False]
    assert not await here.is_alone()
    clock.advance(GONE_NS / 1e9 + 1)
    assert await here.is_alone()
    clock.advance(FORGOTTEN_NS / 1e9)
    assert await here.is_alone()
    assert len(marks.beats) == 1
