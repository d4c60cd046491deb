"""Which runs a follower leaves to others: it failed them, and another could run them."""

from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from shared.scheduling.backlog import LONGEST_WAIT_S, Queued
from shared.scheduling.needs import Needs
from shared.scheduling.snapshot import Snapshot

AVOID_S: Final = 300.0
"""So long, from the end of its back-off, a run is kept for followers that have not failed it; then any takes it."""

MOST_NAMED: Final = 3


class _Alike(NamedTuple):
    """Runs that the same followers failed, and that need the same."""

    avoid: tuple[str, ...]
    needs: Needs
    rows: NDArray[np.int64]


class Avoidance:
    """What is to be avoided at the moment of a snapshot."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._able: dict[Needs, list[str]] = {}
        self._groups = list(self._grouped())
        self._left: dict[str, list[NDArray[np.int64]]] = {}
        for alike in self._groups:
            if next(self._others(alike.avoid, alike.needs), None) is not None:
                for follower in alike.avoid:
                    self._left.setdefault(follower, []).append(alike.rows)

    def _grouped(self) -> Iterator[_Alike]:
        backlog, rows = self._snapshot.backlog, self._snapshot.backlog.rows()
        since_s = self._snapshot.now_s - rows.not_before_s
        in_force = (rows.avoid >= 0) & (since_s < AVOID_S) & (since_s >= -LONGEST_WAIT_S)
        found = np.flatnonzero(in_force)
        if not len(found):
            return
        pairs = rows.avoid[found] * len(backlog.needs.things) + rows.needs[found]
        order = np.argsort(pairs, kind="stable")
        for group in np.split(found[order], np.flatnonzero(np.diff(pairs[order])) + 1):
            avoid, needs = rows.avoid[group[0]], rows.needs[group[0]]
            yield _Alike(backlog.avoids.things[int(avoid)], backlog.needs.things[int(needs)], group)

    def left_by(self, follower: str) -> NDArray[np.int64]:
        """Rows of the runs that the follower does not get now."""
        left = self._left.get(follower)
        return np.concatenate(left) if left else np.zeros(0, np.int64)

    def leaves(self, follower: str, run: Queued) -> bool:
        """Whether the follower does not get the run now."""
        return follower in run.avoid and bool(self.others_first(run))

    def others_first(self, run: Queued) -> list[str]:
        """The followers that get the run before those that failed it; none where any may have it."""
        if not run.avoid or not -LONGEST_WAIT_S <= self._snapshot.now_s - run.not_before_s < AVOID_S:
            return []
        return list(self._others(run.avoid, run.needs))

    def bound_astray(self) -> list[Queued]:
        """Runs that wait for a slot of a follower that leaves them to others."""
        runs = (self._snapshot.backlog.at(int(row)) for alike in self._groups for row in alike.rows)
        return [run for run in runs if run.bound_to is not None and self.leaves(run.bound_to.follower, run)]

    def in_words(self, run: Queued) -> str:
        """Who failed the run and who gets it first; "" where that does not matter now."""
        others = self.others_first(run)
        if not others:
            return ""
        more = f" and {len(others) - MOST_NAMED} more" if len(others) > MOST_NAMED else ""
        return f"{', '.join(run.avoid)} failed it; {', '.join(others[:MOST_NAMED])}{more} first"

    def _others(self, avoid: tuple[str, ...], needs: Needs) -> Iterator[str]:
        able = self._able.get(needs)
        if able is None:
            fits = (slot for slot in self._snapshot.slots if slot.accepts and self._snapshot.fits(needs, slot))
            able = self._able[needs] = sorted({slot.key.follower for slot in fits})
        return (follower for follower in able if follower not in avoid)
