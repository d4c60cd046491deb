"""What came of the runs that ended: the trace that a replay plays under other policies."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

from leader.manage.dispatch import Dispatcher
from leader.manage.ledger import Ledger
from leader.manage.scheduling import Scheduling
from leader.perfdb.entities import Spent
from shared.clock import Clock
from shared.scheduling.stream_file import TracedRun
from shared.wire.history import HistoryFacts


@dataclass(frozen=True)
class Told:
    """``runs``: in order of arrival."""

    runs: list[TracedRun]
    facts: HistoryFacts


class History:
    """Answers from what the ledger keeps in memory; the store is not read for it."""

    def __init__(self, ledger: Ledger, dispatcher: Dispatcher, scheduling: Scheduling, clock: Clock) -> None:
        self._ledger = ledger
        self._dispatcher = dispatcher
        self._scheduling = scheduling
        self._clock = clock

    async def told(self, within: timedelta) -> Told:
        """The runs that took a slot and ended within this time. Raises Unavailable."""
        await self._scheduling.refresh()
        snapshot = await self._dispatcher.snapshot()
        slots = Counter(state.slot.device for state in snapshot.slots if state.slot is not None and state.accepts)
        runs, left_out = traced(self._ledger.ended_since(self._clock.utc_now() - within))
        settings = self._scheduling.settings.model_copy(update={"quotas": {}})
        return Told(runs, HistoryFacts(slots=dict(slots), settings=settings, left_out=left_out))


def traced(ended: Iterable[Spent]) -> tuple[list[TracedRun], int]:
    """As lines of a trace, by arrival, and how many of them cannot be: they do not say when they were submitted. Pure.

    A run's duration is what all its attempts took. One that ended at the moment of its claim took nothing, and is
    no line.
    """
    runs, left_out = list[TracedRun](), 0
    for one in ended:
        if one.submitted_at is None or one.device is None:
            left_out += 1
        elif one.occupied_s > 0 and one.ended_at > one.submitted_at:
            runs.append(
                TracedRun(
                    arrival_s=one.submitted_at.timestamp(),
                    duration_s=one.occupied_s,
                    team=one.team,
                    device=one.device,
                    predicted_s=one.predicted_s if one.predicted_s > 0 else None,
                    ended_s=one.ended_at.timestamp(),
                )
            )
    return sorted(runs, key=lambda run: run.arrival_s), left_out
