"""When waiting runs should start and end: the queue played forward by the code that decides.

Each run's true time is drawn around its prediction: log-normal with its p50 and p90. Later arrivals and deaths are not
foreseen, so a forecast is a lower estimate wherever others may overtake.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from heapq import heapify, heapreplace
from math import inf, isfinite, log, sqrt
from typing import Final

import numpy as np
from numpy.typing import NDArray

from shared.scheduling.backlog import Queued
from shared.scheduling.cluster import Cluster
from shared.scheduling.decide import Ranking
from shared.scheduling.needs import Needs
from shared.scheduling.policy import DEFAULT, SchedulingPolicy
from shared.scheduling.refusal import NO_FOLLOWER, refused
from shared.scheduling.snapshot import Occupant, SlotState, Snapshot

DRAWS: Final = 40
"""Futures that are played through for an estimate."""

MOST_S: Final = 0.5
"""Seconds of computing that one estimate may take, by the costs below; beyond, it is made from the work before it."""

_PER_RUN_S: Final = 12e-6  # to copy a queued run into a future
_PER_DECISION_S: Final = 100e-6
_PER_DECISION_AND_RUN_S: Final = 0.15e-6  # as measured: 1.2 ms for a decision among 10,000 runs
_FEWEST_DRAWS: Final = 5
_OVERDUE: Final = 0.1
_Z90: Final = 1.2815515655446004  # 90th percentile of the standard normal
_SPREAD: Final = np.array([-_Z90, -0.5, 0.0, 0.5, _Z90])  # its 50th and 90th, by order statistics, are 0 and _Z90


@dataclass(frozen=True)
class Futures:
    """Of some runs: seconds from now, a value for each future; infinity where it never comes."""

    first_start_s: NDArray[np.float64]
    last_end_s: NDArray[np.float64]


@dataclass(frozen=True)
class Span:
    """Seconds from now, as half and as nine in ten futures have it."""

    p50_s: float
    p90_s: float


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """Of runs that would be queued now. None: not in sight; ``words`` say why, or what the figures rest on."""

    starts_in: Span | None = None  # the first of them
    ends_in: Span | None = None  # the last of them
    words: str


def forecast(
    snapshot: Snapshot, runs: Sequence[Queued], policy: SchedulingPolicy = DEFAULT, *, draws: int = DRAWS
) -> Forecast:
    """When ``runs``, queued now, would begin and be done. The snapshot stays as it is.

    Raises:
        Conflict: one of them is queued already.
    """
    if not runs:
        return Forecast(words="nothing is to be run")
    for needs in dict.fromkeys(run.needs for run in runs):
        if not able_slots(needs, snapshot):
            return Forecast(words=nobody(needs, snapshot))
    backlog = snapshot.backlog.copy()
    for run in runs:
        backlog.add(run)
    joined = replace(snapshot, backlog=backlog)
    ranking = Ranking(joined, policy)
    mine = {run.run_id for run in runs}
    able = [slot for slot in snapshot.slots if any(slot in able_slots(needs, snapshot) for needs in _needs(runs))]
    order = _up_to(mine, joined, ranking, able)
    seen = futures(joined, mine, policy, order=order, able=able, draws=draws)
    starts, ends = span_of(seen.first_start_s), span_of(seen.last_end_s)
    if quota := ranking.over_quota(ranking.team_of(backlog.row_of(runs[0].run_id))):
        return Forecast(starts_in=starts, ends_in=ends, words=quota)
    before = sum(run.run_id not in mine for run in order)
    return Forecast(starts_in=starts, ends_in=ends, words=_words(before, able, ends))


def _needs(runs: Sequence[Queued]) -> list[Needs]:
    return list(dict.fromkeys(run.needs for run in runs))


def _up_to(mine: Collection[str], snapshot: Snapshot, ranking: Ranking, able: Sequence[SlotState]) -> list[Queued]:
    """What competes for the slots, in order, up to the last of the runs."""
    backlog, keys = snapshot.backlog, ranking.keys()
    last = max(keys[backlog.row_of(run_id)] for run_id in mine)
    rows = np.flatnonzero(rivals(snapshot, able, ranking) & (keys <= last))
    return [backlog.at(int(row)) for row in rows[np.argsort(keys[rows])]]


def _words(before: int, able: Sequence[SlotState], ends: Span | None) -> str:
    if ends is None:
        return "no end is in sight: what waits with them cannot all be run as things stand"
    busy = sum(slot.occupant is not None for slot in able)
    return f"{before} queued runs go before the last of them; {len(able)} slots can run them, {busy} of them busy"


def span_of(seconds: NDArray[np.float64]) -> Span | None:
    """Median and 90th percentile; None where the median is not in sight."""
    p50_s, p90_s = (float(q) for q in np.quantile(seconds, (0.5, 0.9), method="inverted_cdf"))
    return Span(p50_s, p90_s) if isfinite(p50_s) and isfinite(p90_s) else None


def able_slots(needs: Needs, snapshot: Snapshot) -> list[SlotState]:
    """The slots that could take a run with these needs."""
    return [slot for slot in snapshot.slots if slot.accepts and snapshot.fits(needs, slot)]


def nobody(needs: Needs, snapshot: Snapshot) -> str:
    """Why no slot can take a run with these needs."""
    held = sum(not slot.accepts and snapshot.fits(needs, slot) for slot in snapshot.slots)
    if held:
        return f"no live follower can run it: {held} slots could, but they are cordoned or draining"
    live = {slot.key.follower: slot.capabilities for slot in snapshot.slots if slot.capabilities}
    problems = list(refused(needs, live)) if live else [NO_FOLLOWER]
    told = "; ".join(str(problem) for problem in problems) or "none has all that it needs on one slot"
    return f"no live follower can run it: {told}"


def rivals(snapshot: Snapshot, able: Sequence[SlotState], ranking: Ranking) -> NDArray[np.bool_]:
    """The runs that could take one of the same slots."""
    found = np.zeros(len(snapshot.backlog), np.bool_)
    for slot in able:
        found |= ranking.fitting(slot)
    return found


def futures(
    snapshot: Snapshot,
    mine: Collection[str],
    policy: SchedulingPolicy,
    *,
    order: Sequence[Queued],
    able: Sequence[SlotState],
    draws: int,
) -> Futures:
    """When the runs ``mine`` of the queue start and end, in each future that is played.

    Args:
        snapshot: queue and slots, the runs among them.
        mine: ids of queued runs, at least one.
        policy: what decides.
        order: what competes for their slots, up to the last of them: all that has to be decided on.
        able: the slots that could take them.
        draws: futures to be played; fewer where that would take too long, and none where it takes far too long.
    """
    queued = len(snapshot.backlog)
    each_s = queued * _PER_RUN_S + len(order) * (_PER_DECISION_S + queued * _PER_DECISION_AND_RUN_S)
    affordable = min(draws, int(MOST_S / each_s))
    if affordable < _FEWEST_DRAWS:
        return _from_order(snapshot.now_s, mine, order, able)
    played = np.array([_played(snapshot, mine, policy, draw) for draw in range(affordable)])
    return Futures(played[:, 0], played[:, 1])


def _from_order(now_s: float, mine: Collection[str], order: Sequence[Queued], able: Sequence[SlotState]) -> Futures:
    """Each run on the slot that is free first, in order, with the spread of a sum of independent times."""
    free_s = [_rest_s(slot.occupant, now_s) if slot.occupant else 0.0 for slot in able]
    heapify(free_s)
    before_s2 = 0.0
    start, end = (inf, 0.0), (0.0, 0.0)  # when, and by how much that varies
    for one in order:
        begins_s, own_s2 = free_s[0], _spread_s(one) ** 2
        heapreplace(free_s, begins_s + one.predicted_s)
        if one.run_id in mine:
            spread_s = sqrt(before_s2) / len(able)
            start = min(start, (begins_s, spread_s))
            end = max(end, (begins_s + one.predicted_s, sqrt(spread_s**2 + own_s2)))
        before_s2 += own_s2
    return Futures(*(np.maximum(at_s + spread_s * _SPREAD, 0.0) for at_s, spread_s in (start, end)))


def _spread_s(run: Queued) -> float:
    """Standard deviation, if p50 and p90 were those of a normal distribution."""
    return ((run.predicted_p90_s or run.predicted_s) - run.predicted_s) / _Z90


def _played(snapshot: Snapshot, mine: Collection[str], policy: SchedulingPolicy, seed: int) -> tuple[float, float]:
    """The first start and the last end in one future; infinity where it is never come to."""
    now_s, first_s, last_s, missing = snapshot.now_s, inf, 0.0, len(mine)
    for started_s, ended_s in _starts(_cluster(snapshot, policy, seed), mine):
        first_s, last_s, missing = min(first_s, started_s - now_s), max(last_s, ended_s - now_s), missing - 1
        if not missing:
            return first_s, last_s
    return first_s, inf


def _starts(cluster: Cluster, mine: Collection[str]) -> Iterator[tuple[float, float]]:
    """Starts of the runs, with the ends that they will have."""
    while True:
        for started in cluster.settle():
            if started.run_id in mine:
                yield started.started_s, started.ended_s
        if cluster.advance() is None:
            return


def _cluster(snapshot: Snapshot, policy: SchedulingPolicy, seed: int) -> Cluster:
    random = np.random.default_rng(seed)
    cluster = Cluster(
        policy=policy,
        slots={slot.key: replace(slot, occupant=None) for slot in snapshot.slots},
        fits=snapshot.fits,
        true_s={one.run_id: one.predicted_s * _factor(one, random) for one in snapshot.backlog},
        backlog=snapshot.backlog.copy(),
        use=dict(snapshot.use),
        quotas=snapshot.quotas,
        now_s=snapshot.now_s,
        bound_so_far=snapshot.bound_so_far,
    )
    for slot in snapshot.slots:
        if slot.occupant:
            cluster.hold(slot, _rest_s(slot.occupant, snapshot.now_s))
    return cluster


def _rest_s(run: Occupant, now_s: float) -> float:
    """What is left of a running run; one that is overdue is expected to take a tenth of its length more."""
    return max(run.predicted_end_s - now_s, _OVERDUE * (run.predicted_end_s - run.started_s))


def _factor(run: Queued, random: np.random.Generator) -> float:
    p90_s = run.predicted_p90_s
    sigma = log(p90_s / run.predicted_s) / _Z90 if p90_s and p90_s > run.predicted_s else 0.0
    return float(np.exp(sigma * random.standard_normal()))
