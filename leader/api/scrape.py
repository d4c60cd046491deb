"""What /metrics shows of the leader's state. The queue comes from memory: a scrape never reads a long one."""

import heapq
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

from leader.api.context import Leader
from leader.metrics import StateSnapshot
from shared.jobs.lifecycle import RunState

MOST_TEAMS: Final = 50
"""Teams with labels of their own, those with the most runs queued; the others are counted together."""

OTHERS: Final = "(others)"
_RATIOS: Final = 200  # last runs whose predictions are judged
_QUANTILES: Final = (10, 50, 90)


async def snapshot(leader: Leader) -> StateSnapshot:
    """The live runs by state, the queue by team and class, followers and failures. Raises Unavailable."""
    desk = leader.desk
    await desk.lineup.look()
    queued, followers = list(desk.lineup.backlog), await desk.followers.list()
    counts = Counter({state: 0 for state in RunState if not state.is_terminal})
    counts[RunState.QUEUED] = len(queued)
    counts.update(run.status.state for run in desk.lineup.live)
    alive = sum(follower.alive for follower in followers)
    now_s = leader.clock.utc_now().timestamp()
    half_life_s = desk.scheduling.policy.half_life_s
    return StateSnapshot(
        runs={str(state): count for state, count in counts.items()},
        queue_predicted_s=sum(run.predicted_s for run in queued),
        followers_alive=alive,
        followers_silent=len(followers) - alive,
        bell_failures=leader.bell.failures,
        background_deaths={name: health.deaths for name, health in leader.background.health.items()},
        depth=fewer_teams(Counter((run.team, run.priority) for run in queued)),
        oldest_queued_s=max((now_s - run.submitted_s for run in queued), default=0.0),
        requeues=dict(desk.requeues.by_cause),
        team_use_s=largest({team: use.at(now_s, half_life_s) for team, use in desk.ledger.use(half_life_s).items()}),
        prediction_ratios=quantiles(desk.ledger.prediction_errors()[-_RATIOS:]),
    )


def fewer_teams(depth: Mapping[tuple[str, str], int]) -> dict[tuple[str, str], int]:
    """At most ``MOST_TEAMS`` teams by name; the rest under one name. Pure."""
    by_team: Counter[str] = Counter()
    for (team, _), count in depth.items():
        by_team[team] += count
    named = {team for team, _ in by_team.most_common(MOST_TEAMS)}
    found: Counter[tuple[str, str]] = Counter()
    for (team, priority), count in depth.items():
        found[team if team in named else OTHERS, priority] += count
    return dict(found)


def largest(by_team: Mapping[str, float]) -> dict[str, float]:
    """The ``MOST_TEAMS`` teams with the largest values. Pure."""
    return dict(heapq.nlargest(MOST_TEAMS, by_team.items(), key=lambda item: item[1]))


def quantiles(ratios: Sequence[float]) -> dict[str, float]:
    """Nearest ranks, named as Prometheus does; empty where there is nothing to judge. Pure."""
    ordered = sorted(ratios)
    if not ordered:
        return {}
    return {f"{percent / 100:g}": ordered[-(-len(ordered) * percent // 100) - 1] for percent in _QUANTILES}
