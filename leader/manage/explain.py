"""Why a run stands where it stands, in one answer."""

import asyncio
from dataclasses import replace

from leader.manage.dispatch import Dispatcher
from leader.manage.lineup import SMALL, Lineup, occupant_of
from leader.manage.scheduling import Scheduling
from leader.perfdb.entities import Run
from leader.perfdb.protocol import RunStore
from shared.clock import Clock
from shared.errors import NotFound
from shared.scheduling.explain import Explanation, explain
from shared.wire.scheduling import ExplainView, ReasonView
from shared.wire.views import Eta


class Explainer:
    """Asks the code that decides, on a copy of what it decides on."""

    def __init__(
        self, runs: RunStore, dispatcher: Dispatcher, scheduling: Scheduling, lineup: Lineup, clock: Clock
    ) -> None:
        self._runs = runs
        self._dispatcher = dispatcher
        self._scheduling = scheduling
        self._lineup = lineup
        self._clock = clock

    async def explain(self, run_id: str) -> ExplainView:
        """Raises NotFound, Unavailable."""
        run = await self._runs.get(run_id)
        await self._scheduling.refresh()
        view = self._plain(run)
        if run.status.state.is_leased:
            return under_way(view, run)
        if run.status.state.is_terminal:
            told_last = [run.history[-1].message] if run.reused_from else why_it_stands(run)
            words = ": ".join([f"it ended as {run.status.state}", *told_last])
            return view.model_copy(update={"why": "ended", "words": words})
        await self._lineup.look()
        if run_id not in self._lineup.backlog:  # it came through another leader, or is being claimed
            await self._look_for(run)
        live = await self._dispatcher.snapshot()
        snapshot = replace(live, backlog=live.backlog.copy())  # the queue moves on while futures are played through
        try:
            told = await asyncio.to_thread(explain, snapshot, run_id, self._scheduling.policy)
        except NotFound:
            return view.model_copy(update={"why": "next", "words": "it is being claimed"})
        return waiting(view, run, told)

    async def _look_for(self, run: Run) -> None:
        """At the whole queue, where that is soon done; of a long one at what belongs to the run's job."""
        if len(self._lineup.backlog) <= SMALL:
            await self._lineup.look_now()
        else:
            _, waiting = await self._runs.waiting_of(run.job_id)
            self._lineup.join(waiting)

    def _plain(self, run: Run) -> ExplainView:
        p90_s = run.predicted_p90_s or run.predicted_s
        return ExplainView(
            run_id=run.id,
            state=run.status.state,
            at=self._clock.utc_now(),
            policy=self._scheduling.policy.name,
            why="",
            words="",
            follower=run.status.lease.follower if run.status.lease else None,
            predicted=Eta(p50_s=run.predicted_s, p90_s=p90_s),
        )


def under_way(view: ExplainView, run: Run) -> ExplainView:
    """Of a run that a follower holds. Pure."""
    taken_s = max(0.0, view.at.timestamp() - occupant_of(run).started_s)
    left = Eta(
        p50_s=max(0.0, view.predicted.p50_s - taken_s),
        p90_s=max(0.0, view.predicted.p90_s - taken_s),
    )
    words = f"attempt {run.status.attempt} on {view.follower} for {taken_s:.0f} s"
    return view.model_copy(update={"why": "running", "words": words, "ends_in": left})


def why_it_stands(run: Run) -> list[str]:
    """Cause and detail of its end, or of its last failure; empty where there was none. Pure."""
    if run.no_record is not None:
        return [f"no record: {run.no_record}"]
    return [part for part in (run.status.cause, run.status.detail) if part]


def waiting(view: ExplainView, run: Run, told: Explanation) -> ExplainView:
    """Of a run that waits, perhaps again. The end's p90 adds the start's and the run's. Pure."""
    start_p50_s, start_p90_s = told.starts_in_p50_s, told.starts_in_p90_s
    failed = why_it_stands(run)
    before = f"; attempt {run.status.attempt} failed: {': '.join(failed)}" if failed else ""
    found: dict[str, object] = {
        "why": told.why.value,
        "words": told.words + before,
        "position": told.position,
        "queued": told.queued,
        "reasons": tuple(ReasonView(name=r.name, value=r.value, words=r.words) for r in told.reasons),
    }
    if start_p50_s is not None and start_p90_s is not None:
        found["starts_in"] = Eta(p50_s=start_p50_s, p90_s=start_p90_s)
        found["ends_in"] = Eta(
            p50_s=start_p50_s + view.predicted.p50_s,
            p90_s=start_p90_s + view.predicted.p90_s,
        )
    return view.model_copy(update=found)
