"""What /metrics shows of the leader's state, read from PerfDB when it is asked for."""

from collections import Counter
from typing import Final

from leader.api.context import Leader
from leader.metrics import StateSnapshot
from leader.perfdb.entities import Run
from leader.perfdb.protocol import RunStore
from shared.jobs.lifecycle import RunState

_PAGE: Final = 500
_MOST_PAGES: Final = 20


async def snapshot(leader: Leader) -> StateSnapshot:
    """The live runs by state, the backlog in predicted seconds, followers and failures. Raises Unavailable."""
    perfdb = leader.desk.perfdb
    queued = await _queued(perfdb.runs)
    followers = await leader.desk.followers.list()
    counts = Counter({state: 0 for state in RunState if not state.is_terminal})
    counts[RunState.QUEUED] = len(queued)
    for follower in followers:
        counts.update(run.status.state for run in await perfdb.runs.leased_to(follower.name))
    alive = sum(follower.alive for follower in followers)
    return StateSnapshot(
        runs={str(state): count for state, count in counts.items()},
        queue_predicted_s=sum(run.predicted_s for run in queued),
        followers_alive=alive,
        followers_silent=len(followers) - alive,
        bell_failures=leader.bell.failures,
        background_deaths={name: health.deaths for name, health in leader.background.health.items()},
    )


async def _queued(runs: RunStore) -> list[Run]:
    """Everything that waits, up to ten thousand runs: a scrape is bounded whatever the backlog."""
    found: list[Run] = []
    for _ in range(_MOST_PAGES):
        page = await runs.queued(after=found[-1] if found else None, limit=_PAGE)
        found += page
        if len(page) < _PAGE:
            break
    return found
