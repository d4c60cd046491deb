"""What /metrics shows of the leader's state. The queue comes from memory: a scrape never reads a long one."""

import heapq
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from leader.api.context import Leader
from leader.manage.views import is_alive
from leader.metrics import StateSnapshot
from leader.perfdb.entities import Spent
from shared.jobs.lifecycle import RunState
from shared.scheduling.backlog import Backlog
from shared.scheduling.policy import CLASSES
from shared.scheduling.snapshot import NO_QUOTA

MOST_TEAMS: Final = 50
"""Teams with labels of their own, those with the most runs queued; the others are counted together."""

OTHERS: Final = "(others)"
_JUDGED: Final = 200  # last runs whose predictions are judged
_QUANTILES: Final = (10, 50, 90)


async def snapshot(leader: Leader) -> StateSnapshot:
    """The live runs by state, the queue by team and class, slots, teams, followers, failures. Raises Unavailable."""
    desk = leader.desk
    await desk.lineup.look()
    backlog, now = desk.lineup.backlog, leader.clock.utc_now()
    rows = backlog.rows()
    counts = Counter({state: 0 for state in RunState if not state.is_terminal})
    counts[RunState.QUEUED] = len(backlog)
    counts.update(run.status.state for run in desk.lineup.live)
    followers = await desk.roster.recent()
    alive = sum(is_alive(follower, now, leader.settings.lease) for follower in followers)
    half_life_s = desk.scheduling.policy.half_life_s
    use_s = {team: use.at(now.timestamp(), half_life_s) for team, use in desk.ledger.use(half_life_s).items()}
    depth = depth_of(backlog)
    teams = use_s.keys() | {run.team for run in desk.lineup.live} | {team for team, _ in depth}
    weights = {team: desk.scheduling.quotas.get(team, NO_QUOTA).weight for team in teams}
    named = heapq.nlargest(MOST_TEAMS, sorted(teams), key=lambda team: use_s.get(team, 0.0))
    judged = desk.ledger.succeeded()[-_JUDGED:]
    return StateSnapshot(
        runs={str(state): count for state, count in counts.items()},
        queue_predicted_s=float(rows.predicted_s.sum()),
        followers_alive=alive,
        followers_silent=sum(not follower.left for follower in followers) - alive,
        bell_failures=leader.bell.failures,
        background_deaths={name: health.deaths for name, health in leader.background.health.items()},
        slot_seconds={(device, use.value): s for (device, use), s in desk.utilisation.slot_seconds.items()},
        ended=dict(desk.endings.by_end),
        depth=fewer_teams(depth),
        oldest_queued_s=now.timestamp() - float(rows.submitted_s.min()) if len(backlog) else 0.0,
        requeues=dict(desk.requeues.by_cause),
        team_use_s=largest(use_s),
        team_use_share=shares({team: use_s.get(team, 0.0) for team in teams}, named),
        team_fair_share=shares(weights, named),
        prediction_ratios=quantiles([one.predicted_s / one.last_s for one in judged]),
        within_p90=within_p90(judged),
    )


def depth_of(backlog: Backlog) -> dict[tuple[str, str], int]:
    """(team, class) -> runs that wait. Pure."""
    rows, teams, names = backlog.rows(), backlog.teams.things, {rank: name for name, rank in CLASSES.items()}
    kinds, counts = np.unique(np.stack([rows.team, rows.class_rank]), axis=1, return_counts=True)
    found = zip(*kinds.tolist(), counts.tolist(), strict=True)
    return {(teams[team], names[rank]): count for team, rank, count in found}


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


def shares(by_team: Mapping[str, float], named: Sequence[str]) -> dict[str, float]:
    """Of the sum, for the ``named`` and for all others together; empty where the sum is 0. Pure."""
    total = sum(by_team.values())
    if not total:
        return {}
    found = {team: by_team[team] / total for team in named}
    others = sum(value for team, value in by_team.items() if team not in found)
    return {**found, OTHERS: others / total} if len(found) < len(by_team) else found


def within_p90(judged: Sequence[Spent]) -> float | None:
    """Share of the runs that took no longer than the p90 predicted for them; None where none had one. Pure."""
    told = [one.last_s <= one.predicted_p90_s for one in judged if one.predicted_p90_s is not None]
    return sum(told) / len(told) if told else None


def quantiles(ratios: Sequence[float]) -> dict[str, float]:
    """Nearest ranks, named as Prometheus does; empty where there is nothing to judge. Pure."""
    ordered = sorted(ratios)
    if not ordered:
        return {}
    return {f"{percent / 100:g}": ordered[-(-len(ordered) * percent // 100) - 1] for percent in _QUANTILES}
