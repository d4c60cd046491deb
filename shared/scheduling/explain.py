"""Why a queued run waits, and when it should start: told from the snapshot that the decision itself uses."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from heapq import heapify, heapreplace
from math import isfinite, log
from typing import Final

import numpy as np
from numpy.typing import NDArray

from shared.errors import NotFound
from shared.scheduling.backlog import Queued, SlotKey
from shared.scheduling.cluster import Cluster
from shared.scheduling.decide import Ranking, Reason, decide
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


class Why(StrEnum):
    """Why a run has not started."""

    NEXT = "next"  # a free slot takes it as soon as its follower asks
    WAITING = "waiting"  # slots that can run it are busy, or others go first
    OVER_QUOTA = "over-quota"
    NO_FOLLOWER = "no-follower"


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """What is said of a queued run."""

    run_id: str
    why: Why
    words: str
    position: int | None  # 1: first of those that compete for the same slots; None where nothing can run it
    queued: int  # how many compete
    reasons: tuple[Reason, ...]
    starts_in_p50_s: float | None  # None where no start is in sight
    starts_in_p90_s: float | None
    ends_in_p50_s: float | None


def explain(snapshot: Snapshot, run_id: str, policy: SchedulingPolicy = DEFAULT, *, draws: int = DRAWS) -> Explanation:
    """Position, reasons and expected start of a queued run.

    The start is found by playing the queue forward with the same policy, each run's true time drawn around its
    prediction: log-normal with its p50 and p90. Later arrivals and deaths are not foreseen, so it is a lower estimate
    wherever others may overtake.

    Raises:
        NotFound: the run is not queued.
    """
    if run_id not in snapshot.backlog:
        raise NotFound(f"run {run_id} is not queued")
    run = snapshot.backlog[run_id]
    now = decide(snapshot, policy)
    ranking, row = Ranking(snapshot, policy, now.bindings), snapshot.backlog.row_of(run_id)
    able = [slot for slot in snapshot.slots if slot.accepts and snapshot.fits(run.needs, slot)]
    told = Explanation(
        run_id=run_id, why=Why.NO_FOLLOWER, words="", position=None, queued=0, reasons=ranking.reasons(row),
        starts_in_p50_s=None, starts_in_p90_s=None, ends_in_p50_s=None,
    )  # fmt: skip
    if not able:
        return replace(told, words=_nobody(run.needs, snapshot))
    rivals = _rivals(snapshot, able, ranking)
    keys = ranking.keys()
    before = np.flatnonzero(rivals & (keys < keys[row]))
    ahead = [snapshot.backlog.at(int(one)) for one in before[np.argsort(keys[before])]]
    told = replace(told, position=len(ahead) + 1, queued=int(rivals.sum()))
    placed = next((placement for placement in now.placements if placement.run_id == run_id), None)
    if placed:
        words = f"next on slot {placed.slot.slot} of follower {placed.slot.follower}, which is free"
        return _timed(replace(told, why=Why.NEXT, words=words, reasons=placed.reasons), run, np.zeros(1))
    starts_s = _starts(snapshot, run, policy, draws, ahead=ahead, able=able)
    if quota := ranking.over_quota(ranking.team_of(row)):
        return _timed(replace(told, why=Why.OVER_QUOTA, words=quota), run, starts_s)
    bound = {binding.run_id: binding.slot for binding in now.bindings}.get(run_id, run.bound_to)
    words = _waits(able, len(ahead), bound if policy.binds_early else None)
    return _timed(replace(told, why=Why.WAITING, words=words), run, starts_s)


def _waits(able: list[SlotState], ahead: int, bound: SlotKey | None) -> str:
    busy = sum(slot.occupant is not None for slot in able)
    words = f"{ahead} before it; {len(able)} slots can run it, {busy} of them busy"
    return words if bound is None else f"{words}; it is bound to slot {bound.slot} of follower {bound.follower}"


def _timed(told: Explanation, run: Queued, starts_s: NDArray[np.float64]) -> Explanation:
    """With quantiles of the start, where it is in sight in most futures."""
    p50_s, p90_s = (float(q) for q in np.quantile(starts_s, (0.5, 0.9), method="inverted_cdf"))
    return replace(
        told,
        starts_in_p50_s=p50_s if isfinite(p50_s) else None,
        starts_in_p90_s=p90_s if isfinite(p90_s) else None,
        ends_in_p50_s=p50_s + run.predicted_s if isfinite(p50_s) else None,
    )


def _nobody(needs: Needs, snapshot: Snapshot) -> str:
    held = sum(not slot.accepts and snapshot.fits(needs, slot) for slot in snapshot.slots)
    if held:
        return f"no live follower can run it: {held} slots could, but they are cordoned or draining"
    live = {slot.key.follower: slot.capabilities for slot in snapshot.slots if slot.capabilities}
    problems = list(refused(needs, live)) if live else [NO_FOLLOWER]
    told = "; ".join(str(problem) for problem in problems) or "none has all that it needs on one slot"
    return f"no live follower can run it: {told}"


def _rivals(snapshot: Snapshot, able: list[SlotState], ranking: Ranking) -> NDArray[np.bool_]:
    """The runs that could take one of the same slots."""
    found = np.zeros(len(snapshot.backlog), np.bool_)
    for slot in able:
        found |= ranking.fitting(slot)
    return found


def _starts(
    snapshot: Snapshot,
    run: Queued,
    policy: SchedulingPolicy,
    draws: int,
    *,
    ahead: Sequence[Queued],
    able: Sequence[SlotState],
) -> NDArray[np.float64]:
    """Seconds from now to the run's start, in each future that is played; infinity where it never starts."""
    queued = len(snapshot.backlog)
    each_s = queued * _PER_RUN_S + (len(ahead) + 1) * (_PER_DECISION_S + queued * _PER_DECISION_AND_RUN_S)
    affordable = min(draws, int(MOST_S / each_s))
    if affordable < _FEWEST_DRAWS:
        return _from_work_ahead(snapshot.now_s, ahead, able)
    return np.array([_played(snapshot, run, policy, draw) for draw in range(affordable)])


def _from_work_ahead(now_s: float, ahead: Sequence[Queued], able: Sequence[SlotState]) -> NDArray[np.float64]:
    """When a slot is free after the runs before it, in their order, with the spread of a sum of independent times."""
    free_s = [_rest_s(slot.occupant, now_s) if slot.occupant else 0.0 for slot in able]
    heapify(free_s)
    for one in ahead:
        heapreplace(free_s, free_s[0] + one.predicted_s)
    spreads_s = np.array([((one.predicted_p90_s or one.predicted_s) - one.predicted_s) / _Z90 for one in ahead])
    spread_s = float(np.sqrt((spreads_s**2).sum())) / len(able)
    return np.maximum(free_s[0] + spread_s * np.array([-_Z90, -0.5, 0.0, 0.5, _Z90]), 0.0)


def _played(snapshot: Snapshot, run: Queued, policy: SchedulingPolicy, seed: int) -> float:
    random = np.random.default_rng(seed)
    true_s = {one.run_id: one.predicted_s * _factor(one, random) for one in snapshot.backlog}
    cluster = Cluster(
        policy=policy,
        slots={slot.key: replace(slot, occupant=None) for slot in snapshot.slots},
        fits=snapshot.fits,
        true_s=true_s,
        backlog=snapshot.backlog.copy(),
        use=dict(snapshot.use),
        quotas=snapshot.quotas,
        now_s=snapshot.now_s,
        bound_so_far=snapshot.bound_so_far,
    )
    for slot in snapshot.slots:
        if slot.occupant:
            cluster.hold(slot, _rest_s(slot.occupant, snapshot.now_s))
    while True:
        for started in cluster.settle():
            if started.run_id == run.run_id:
                return started.started_s - snapshot.now_s
        if cluster.advance() is None:
            return float("inf")


def _rest_s(run: Occupant, now_s: float) -> float:
    """What is left of a running run; one that is overdue is expected to take a tenth of its length more."""
    return max(run.predicted_end_s - now_s, _OVERDUE * (run.predicted_end_s - run.started_s))


def _factor(run: Queued, random: np.random.Generator) -> float:
    p90_s = run.predicted_p90_s
    sigma = log(p90_s / run.predicted_s) / _Z90 if p90_s and p90_s > run.predicted_s else 0.0
    return float(np.exp(sigma * random.standard_normal()))
