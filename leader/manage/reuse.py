"""Which runs of a job need not be run, because PerfDB has what they would measure.

A record stands in for a run only where everything that could move a number is equal, on a live follower and slot that
could take the run now: ``shared.jobs.keys``. What nobody could measure again is not reused either.
"""

import itertools
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from leader.perfdb.entities import Follower, LeaderboardEntry, Origin, Run
from leader.perfdb.protocol import RecordStore
from shared.jobs.keys import asked_key, is_reusable, place_key, point_key
from shared.jobs.spec import ReuseMode
from shared.jobs.sweep import ExpandedRun
from shared.scheduling.capability import unmet
from shared.scheduling.needs import Needs
from shared.wire.identity import Registration, Slot

SPARE: Final = 20
"""Records of a point that are looked at, beside two for each repeat of the job: beyond, older ones are not found."""

Place = tuple[Registration, Slot]


@dataclass(frozen=True)
class Wanted:
    """A run that has not been queued, and what an equal record would have as its key."""

    index: int
    seed: int
    points: frozenset[str]  # a point key for each kind of place that could take it; none: it is never reused


@dataclass(frozen=True)
class Finds:
    """The runs of a job that may be reused, and the valid records of their points, newest first."""

    wanted: Sequence[Wanted] = ()
    records: Sequence[LeaderboardEntry] = ()

    @cached_property
    def _by_point(self) -> dict[str, list[int]]:
        found: dict[str, list[int]] = {}
        for number, record in enumerate(self.records):
            if record.reuse_key is not None:
                found.setdefault(record.reuse_key.point, []).append(number)
        return found

    @cached_property
    def _by_index(self) -> dict[int, Wanted]:
        return {one.index: one for one in self.wanted}

    def repeats_of(self, wanted: Wanted) -> list[LeaderboardEntry]:
        """Records of the run's point under any seed, newest first."""
        numbers = itertools.chain.from_iterable(self._by_point.get(point, ()) for point in wanted.points)
        return [self.records[number] for number in sorted(numbers)]

    def equal_to(self, wanted: Wanted) -> list[LeaderboardEntry]:
        """Records that measured the very same as the run would, newest first."""
        return [one for one in self.repeats_of(wanted) if one.reuse_key and one.reuse_key.seed == wanted.seed]

    def equal_to_run(self, index: int) -> list[LeaderboardEntry]:
        """As ``equal_to``, of the run with this index; of one that is never reused, none."""
        wanted = self._by_index.get(index)
        return self.equal_to(wanted) if wanted else []

    def reused(self, mode: ReuseMode) -> dict[int, Origin]:
        """Index of each run that is not to be run -> whose record it has. Pure.

        ``if-equal``: each run that has an equal record gets the newest. ``extend``: each record counts as one repeat
        of its point, an equal one as that very repeat; the repeats that are left are to be measured.
        """
        if mode == "never":
            return {}
        found = {one.index: equal[0] for one in self.wanted if (equal := self.equal_to(one))}
        if mode == "extend":
            found = self._extended(_each_once(found))
        return {index: record.origin for index, record in sorted(found.items())}

    def _extended(self, found: dict[int, LeaderboardEntry]) -> dict[int, LeaderboardEntry]:
        taken = {record.run_id for record in found.values()}
        for wanted in self.wanted:
            if wanted.index in found:
                continue
            record = next((one for one in self.repeats_of(wanted) if one.run_id not in taken), None)
            if record is not None:
                found[wanted.index] = record
                taken.add(record.run_id)
        return found


def _each_once(found: dict[int, LeaderboardEntry]) -> dict[int, LeaderboardEntry]:
    """Two points may differ in what does not count, such as the labels of a follower: the first run gets the record."""
    first: dict[str, int] = {}
    for index, record in found.items():
        first.setdefault(record.run_id, index)
    return {index: found[index] for index in first.values()}


def wanted_of(expanded: Sequence[ExpandedRun], runs: Sequence[Run], followers: Iterable[Follower]) -> list[Wanted]:
    """The runs that may be reused: no probe of a search, because a search follows from what it finds. Pure.

    Args:
        expanded: the runs of a job, as expanded from its file.
        runs: the same, as they would be stored.
        followers: the live ones.
    """
    places = Places(followers)
    return [
        Wanted(run.index, one.spec.workload.seed, places.points(run, one))
        for one, run in zip(expanded, runs, strict=True)
        if one.search is None and is_reusable(one.spec)
    ]


class Places:
    """The slots that runs could take now, as the halves of their point keys; equal ones are asked about once."""

    def __init__(self, followers: Iterable[Follower]) -> None:
        self._places = [
            (follower.registration, slot)
            for follower in followers
            if not follower.cordoned
            for slot in follower.registration.slots
        ]
        self._able: dict[Needs, list[Place]] = {}
        self._keys: dict[tuple[str, ...], frozenset[str]] = {}

    def points(self, run: Run, expanded: ExpandedRun) -> frozenset[str]:
        """The point keys that the run would get."""
        asked = asked_key(run.comparability_key, expanded.spec)
        return frozenset(point_key(asked, place) for place in self._place_keys(run.needs, expanded))

    def _place_keys(self, needs: Needs, expanded: ExpandedRun) -> Collection[str]:
        service = expanded.spec.service
        kind = (*map(str, needs), service.platform, service.launch, service.protocol, service.device)
        if kind not in self._keys:
            self._keys[kind] = frozenset(place_key(*place, service) for place in self._able_to(needs))
        return self._keys[kind]

    def _able_to(self, needs: Needs) -> list[Place]:
        return [(have, slot) for have, slot in self._places if not unmet(needs, have.capabilities, slot=slot)]


async def find(records: RecordStore, wanted: Sequence[Wanted], *, repeats: int) -> Finds:
    """What PerfDB has of the points. Raises Unavailable."""
    points = frozenset[str]().union(*(one.points for one in wanted))
    return Finds(wanted, await records.of_points(points, limit=SPARE + 2 * repeats)) if points else Finds(wanted)
