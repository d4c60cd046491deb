"""Runs that could be reused and the records that could stand in for them, small enough to be read."""

from datetime import timedelta
from typing import Any

from support.stored_records import START, entry

from leader.manage.reuse import Wanted
from leader.perfdb.entities import LeaderboardEntry, ReuseKey


def wanted(index: int, seed: int, *points: str) -> Wanted:
    """A run that has not been queued; its point is p where none is given."""
    return Wanted(index, seed, frozenset(points or ("p",)))


def measured(number: int, seed: int, point: str = "p", **changes: Any) -> LeaderboardEntry:
    """A record; the higher its number, the newer it is."""
    at = START + timedelta(hours=number)
    return entry(f"r{number}", reuse_key=ReuseKey(point, seed), created_at=at, **changes)


def newest_first(*records: LeaderboardEntry) -> list[LeaderboardEntry]:
    """As PerfDB gives them."""
    return sorted(records, key=lambda record: record.created_at, reverse=True)
