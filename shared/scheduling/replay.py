"""What other policies would have made of runs that really happened, beside what came of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from shared.errors import InvalidInput, NotFound
from shared.scheduling.evaluate import PAPER, SIMPLE, Evaluation, Interval, block_bootstrap, figures_of, jain_index
from shared.scheduling.policy import SchedulingPolicy, policy_named
from shared.scheduling.simulate import Setting, simulate
from shared.scheduling.stream_file import TracedRun, stream_of

Floats = NDArray[np.float64]

USUAL: Final = ("late-binding+first-come", PAPER, SIMPLE)
"""What is replayed beside the policy in force where nobody names another."""

_SEED: Final = 1  # without prediction errors of its own and without deaths, a replay draws nothing


@dataclass(frozen=True, kw_only=True)
class Happened:
    """What really came of the runs; seconds unless said otherwise."""

    runs: int
    mean_completion_s: float
    p95_completion_s: float
    p99_completion_s: float
    mean_slowdown: float  # completion over the time that the run took a slot
    mean_wait_s: float
    max_wait_s: float
    jain_index: float


@dataclass(frozen=True, kw_only=True)
class PolicyReplay:
    """A policy's figures, and its mean completion time over two others on the same runs: below 1 it is better."""

    figures: Evaluation
    over_in_force: Interval
    over_happened: Interval


@dataclass(frozen=True, kw_only=True)
class Replay:
    """``policies``: the one in force first."""

    slots: Mapping[str, int]  # by device class
    team: str | None  # whose runs the figures are of; the others' runs compete all the same
    happened: Happened
    policies: tuple[PolicyReplay, ...]


def policies_of(names: Sequence[str], in_force: SchedulingPolicy) -> tuple[SchedulingPolicy, ...]:
    """The one in force, then those named, each once; aging and the like are those in force.

    Raises:
        InvalidInput: no such policy; the known ones are listed.
    """
    named = [policy_named(name) for name in names or USUAL]
    others = (replace(in_force, placement=policy.placement, order=policy.order) for policy in named)
    return tuple({policy.name: policy for policy in (in_force, *others)}.values())


def replay(
    runs: Sequence[TracedRun],
    slots: Mapping[str, int],
    policies: Sequence[SchedulingPolicy],
    *,
    team: str | None = None,
) -> Replay:
    """Plays the runs once under each policy, on slots that are all free at the first arrival.

    A run arrives when it was submitted, is ranked by what was predicted for it then, and takes a slot for as long as
    all its attempts did. Priorities, deadlines, quotas, deaths and warm slots are not played.

    Args:
        runs: in order of arrival, each with its end.
        slots: device class -> how many there are.
        policies: the one in force first.
        team: whose runs the figures are to be of; None: of all.

    Raises:
        NotFound: there are no runs, or none of the team.
        InvalidInput: a device class without a slot, or a run without an end.
    """
    if not runs:
        raise NotFound("the history has no run to replay")
    if any(run.ended_s is None for run in runs):
        raise InvalidInput("a run of the history does not say when it ended")
    _check_slots(runs, slots)
    stream = stream_of(runs)
    chosen = _chosen(stream.team, team)
    ended_s = np.array([run.ended_s for run in runs], np.float64) - runs[0].arrival_s
    really_s = (ended_s - stream.arrival_s)[chosen]
    found: list[tuple[Evaluation, Floats]] = []
    for policy in policies:
        outcome = simulate(stream, Setting(slots=slots, policy=policy), _SEED)
        figures = figures_of(policy, [outcome.only(chosen)], {})
        share = outcome.idle_while_waiting_s / outcome.slot_s
        found.append((replace(figures, idle_while_waiting=share), outcome.completion_s[chosen]))
    in_force_s = found[0][1]
    return Replay(
        slots=dict(slots),
        team=team,
        happened=_happened(really_s, stream.duration_s[chosen], np.array(stream.team)[chosen]),
        policies=tuple(
            PolicyReplay(
                figures=figures,
                over_in_force=block_bootstrap(completion_s, in_force_s),
                over_happened=block_bootstrap(completion_s, really_s),
            )
            for figures, completion_s in found
        ),
    )


def _check_slots(runs: Sequence[TracedRun], slots: Mapping[str, int]) -> None:
    missing = sorted({run.device for run in runs} - slots.keys())
    if missing:
        told = ",".join([*(f"{device}={count}" for device, count in sorted(slots.items())), f"{missing[0]}=1"])
        raise InvalidInput(
            f"runs of the history took the device class {', '.join(missing)}, of which there is no slot now;"
            f" say how many there should be: --slots {told}"
        )


def _chosen(teams: Sequence[str], team: str | None) -> NDArray[np.bool_]:
    chosen = np.array([team in (None, name) for name in teams])
    if not chosen.any():
        raise NotFound(f"the history has no run of team {team!r}; it has runs of {', '.join(sorted(set(teams)))}")
    return chosen


def _happened(really_s: Floats, duration_s: Floats, team: NDArray[np.str_]) -> Happened:
    slowdown = really_s / duration_s
    wait_s = np.maximum(really_s - duration_s, 0.0)
    p95_s, p99_s = np.quantile(really_s, (0.95, 0.99), method="inverted_cdf")
    return Happened(
        runs=len(really_s),
        mean_completion_s=float(really_s.mean()),
        p95_completion_s=float(p95_s),
        p99_completion_s=float(p99_s),
        mean_slowdown=float(slowdown.mean()),
        mean_wait_s=float(wait_s.mean()),
        max_wait_s=float(wait_s.max()),
        jain_index=jain_index(team, slowdown),
    )
