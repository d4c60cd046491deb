"""What a job would do, without doing it: its runs, what of them is measured already, when it would start and end."""

import asyncio
from dataclasses import replace
from typing import Final

from leader.manage.dispatch import Dispatcher
from leader.manage.ledger import Ledger
from leader.manage.lineup import Lineup, queued_of, waiting_of
from leader.manage.prepare import Prepared, Preparer
from leader.manage.reuse import Finds
from leader.manage.scheduling import Scheduling
from leader.manage.views import origin_view
from leader.perfdb.entities import Run
from shared.jobs.spec import JobSpec
from shared.jobs.sweep import ExpandedRun
from shared.scheduling.backlog import Queued
from shared.scheduling.forecast import Forecast, Span, forecast
from shared.scheduling.setup_times import SetupTimes
from shared.wire.views import Eta, PlannedRun, PlanView

MOST_NAMED: Final = 5
"""Equal runs that a plan names of each run; it counts the others."""


class Planner:
    """Asks the code that would decide, on copies of what it would decide on."""

    def __init__(
        self, *, preparer: Preparer, dispatcher: Dispatcher, scheduling: Scheduling, lineup: Lineup, ledger: Ledger
    ) -> None:
        self._preparer = preparer
        self._dispatcher = dispatcher
        self._scheduling = scheduling
        self._lineup = lineup
        self._ledger = ledger

    async def plan(self, spec: JobSpec) -> PlanView:
        """The runs that the job would have, and how long they would take. No side effect.

        How many probes a search takes depends on what they find, so its time is an upper bound: of as many as allowed.

        Raises:
            InvalidJobFile, NotFound, InvalidInput, NotAvailable, InvalidModel, Unavailable: as ``Preparer.prepare``.
        """
        prepared = await self._preparer.prepare(spec)
        finds = await self._preparer.finds(prepared)
        prepared = prepared.reusing(finds)
        return plan_view(prepared, finds, await self._forecast(prepared))

    async def _forecast(self, prepared: Prepared) -> Forecast:
        await self._scheduling.refresh()
        await self._lineup.look()
        live = await self._dispatcher.snapshot()
        snapshot = replace(live, backlog=live.backlog.copy())  # the queue moves on while futures are played through
        queued = joining(prepared, self._ledger.learnt)
        return await asyncio.to_thread(forecast, snapshot, queued, self._scheduling.policy)


def joining(prepared: Prepared, learnt: SetupTimes) -> list[Queued]:
    """What the job would add to the queue; a search as one run, as long as all the probes that it may take. Pure."""
    most = {one.index: one.most_runs for one in prepared.expanded}
    return [_times(queued_of(waiting_of(run), learnt), most[run.index]) for run in prepared.to_be_run]


def _times(queued: Queued, most_runs: int) -> Queued:
    p90_s = queued.predicted_p90_s
    return replace(
        queued,
        predicted_s=queued.predicted_s * most_runs,
        predicted_p90_s=None if p90_s is None else p90_s * most_runs,
    )


def plan_view(prepared: Prepared, finds: Finds, foreseen: Forecast) -> PlanView:
    """The plan as it is shown. Pure."""
    planned = [_planned(run, one, finds) for run, one in zip(prepared.runs, prepared.expanded, strict=True)]
    to_be_run = [run for run in planned if run.reused_from is None]
    return PlanView(
        name=prepared.job.name,
        runs=tuple(planned),
        predicted_s=sum(run.predicted_s for run in to_be_run),
        predicted_p90_s=sum(run.predicted_p90_s or run.predicted_s for run in to_be_run),
        is_upper_bound=any(run.most_runs > 1 for run in to_be_run),
        reuse=prepared.spec.reuse,
        starts_in=_eta(foreseen.starts_in),
        ends_in=_eta(foreseen.ends_in),
        forecast=foreseen.words,
        comparability_keys=tuple(dict.fromkeys(run.comparability_key for run in prepared.runs)),
    )


def _planned(run: Run, expanded: ExpandedRun, finds: Finds) -> PlannedRun:
    equal = finds.equal_to_run(run.index)
    most = expanded.most_runs
    return PlannedRun(
        index=run.index,
        repeat=run.repeat,
        point=run.point,
        most_runs=most,
        predicted_s=run.predicted_s * most,
        predicted_p90_s=(run.predicted_p90_s or run.predicted_s) * most,
        equal_runs=tuple(record.run_id for record in equal[:MOST_NAMED]),
        equal_count=len(equal),
        reused_from=origin_view(run.reused_from),
    )


def _eta(span: Span | None) -> Eta | None:
    return None if span is None else Eta(p50_s=span.p50_s, p90_s=span.p90_s)
