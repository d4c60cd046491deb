"""Which accepted jobs a leader has not announced yet: decided from what is stored, without a store or a clock."""

from collections.abc import Generator, Iterable
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from leader.perfdb.entities import AcceptedJob
from shared.jobs import ids

OVERLAP: Final = timedelta(seconds=10)
"""How far behind the last whole round each round goes back: ids carry the clock of the leader that made them, and are
stored a little later. Work of a leader whose clock is further behind is found by the line-up's next look."""

FIRST_REACH: Final = timedelta(seconds=60)
"""How far back a leader begins that was just started: the one before it may have died before it announced."""

MOST_LOOKS: Final = 9
"""At a job that lacks runs; with the pauses between them about four minutes. The reconciler takes five seconds."""


class _Incomplete(NamedTuple):
    job: AcceptedJob
    looks: int
    due: int  # number of the round


class Cursor:
    """What was announced here, and from where the next round reads on. A round is ``due`` and ``end_round``."""

    def __init__(self, started_at: datetime) -> None:
        self._seen_until = started_at - FIRST_REACH + OVERLAP
        self._announced: set[str] = set()
        self._under_way: set[str] = set()  # submits of this leader, which announce themselves
        self._incomplete: dict[str, _Incomplete] = {}
        self._round = 0

    @property
    def after(self) -> str:
        """Jobs with ids above it are to be looked at."""
        return ids.new_job_id(self._seen_until - OVERLAP, bytes(ids.RANDOM_BYTES))

    @contextmanager
    def announcing(self, job: AcceptedJob) -> Generator[None]:
        """This leader stores the job and announces it. Where that fails, whatever is stored is due."""
        self._under_way.add(job.id)
        try:
            yield
        except BaseException:
            self._incomplete[job.id] = _Incomplete(job, 0, self._round)
            raise
        else:
            self._announced.add(job.id)
        finally:
            self._under_way.discard(job.id)

    def due(self, accepted: Iterable[AcceptedJob]) -> list[AcceptedJob]:
        """A round begins: what is to be announced of the jobs read after ``after``, and of those that came short."""
        self._round += 1
        again = [one.job for one in self._incomplete.values() if one.due <= self._round]
        known = self._announced | self._under_way | self._incomplete.keys()
        return again + [job for job in accepted if job.id not in known]

    def announced(self, job: AcceptedJob) -> None:
        """All of its runs were there, and whoever could run them was told."""
        self._announced.add(job.id)
        self._incomplete.pop(job.id, None)

    def came_short(self, job: AcceptedJob) -> None:
        """Runs of it are not stored yet: it is due again after 1, 2, 4, ... rounds, ``MOST_LOOKS`` times."""
        earlier = self._incomplete.get(job.id)
        looks = 1 + (earlier.looks if earlier else 0)
        if looks < MOST_LOOKS:
            self._incomplete[job.id] = _Incomplete(job, looks, self._round + 2 ** (looks - 1))
        else:
            self.announced(job)

    def end_round(self, began_at: datetime) -> None:
        """Everything was read that was accepted before; by our own clock, so that one set back is followed back."""
        self._seen_until = began_at
        after = self.after
        self._announced = {job_id for job_id in self._announced if job_id > after}
