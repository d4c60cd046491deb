"""Why a queued run waits, and when it should start: told from the snapshot that the decision itself uses."""

from dataclasses import dataclass, replace
from enum import StrEnum
from math import isfinite

import numpy as np
from numpy.typing import NDArray

from shared.errors import NotFound
from shared.scheduling.backlog import Queued, SlotKey
from shared.scheduling.decide import Ranking, Reason, decide
from shared.scheduling.forecast import DRAWS, able_slots, futures, nobody, rivals
from shared.scheduling.policy import DEFAULT, SchedulingPolicy
from shared.scheduling.snapshot import SlotState, Snapshot


class Why(StrEnum):
    """Why a run has not started."""

    NEXT = "next"  # a free slot takes it as soon as its follower asks
    WAITING = "waiting"  # slots that can run it are busy, or others go first
    BACKING_OFF = "backing-off"  # its last attempt failed, and a little time is to pass first
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

    The start is found by playing the queue forward: ``shared.scheduling.forecast``.

    Raises:
        NotFound: the run is not queued.
    """
    if run_id not in snapshot.backlog:
        raise NotFound(f"run {run_id} is not queued")
    run = snapshot.backlog[run_id]
    now = decide(snapshot, policy)
    ranking, row = Ranking(snapshot, policy, now.bindings), snapshot.backlog.row_of(run_id)
    able = able_slots(run.needs, snapshot)
    told = Explanation(
        run_id=run_id, why=Why.NO_FOLLOWER, words="", position=None, queued=0, reasons=ranking.reasons(row),
        starts_in_p50_s=None, starts_in_p90_s=None, ends_in_p50_s=None,
    )  # fmt: skip
    if not able:
        return replace(told, words=nobody(run.needs, snapshot))
    competing, keys = rivals(snapshot, able, ranking), ranking.keys()
    before = np.flatnonzero(competing & (keys < keys[row]))
    ahead = [snapshot.backlog.at(int(one)) for one in before[np.argsort(keys[before])]]
    told = replace(told, position=len(ahead) + 1, queued=int(competing.sum()))
    placed = next((placement for placement in now.placements if placement.run_id == run_id), None)
    if placed:
        words = f"next on slot {placed.slot.slot} of follower {placed.slot.follower}, which is free"
        return _timed(replace(told, why=Why.NEXT, words=words, reasons=placed.reasons), run, np.zeros(1))
    starts_s = futures(snapshot, {run_id}, policy, order=[*ahead, run], able=able, draws=draws).first_start_s
    if quota := ranking.over_quota(ranking.team_of(row)):
        return _timed(replace(told, why=Why.OVER_QUOTA, words=quota), run, starts_s)
    avoided = ranking.avoidance.in_words(run)
    bound = {binding.run_id: binding.slot for binding in now.bindings}.get(run_id, run.bound_to)
    if run.backs_off(snapshot.now_s):
        words = f"waits {run.not_before_s - snapshot.now_s:.0f} s after its last failure"
        return _timed(replace(told, why=Why.BACKING_OFF, words=_joined(words, avoided)), run, starts_s)
    words = _waits(able, len(ahead), bound if policy.binds_early else None)
    return _timed(replace(told, why=Why.WAITING, words=_joined(words, avoided)), run, starts_s)


def _joined(*parts: str) -> str:
    return "; ".join(part for part in parts if part)


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
