"""A policy's figures over several streams, beside two others on the very same streams."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from shared.scheduling.policy import SchedulingPolicy, policy_named
from shared.scheduling.simulate import Outcome, Setting, simulate
from shared.scheduling.synthetic import Stream

Floats = NDArray[np.float64]

SIMPLE: Final = "round-robin+first-come"
PAPER: Final = "queue-aware+shortest-first"
BASELINES: Final = (SIMPLE, PAPER)
"""What a speed-up is over: the usual comparison, and the scheduler of the paper that this service comes from."""

RESAMPLES: Final = 2_000


@dataclass(frozen=True)
class Interval:
    """A ratio with its 95 % interval: percentile bootstrap over the seeds, or of a single seed over blocks of runs."""

    value: float
    low: float
    high: float
    seeds: int


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Figures of all streams together; seconds unless said otherwise."""

    policy: str
    runs: int
    reused: int  # answered by the record of another run
    mean_completion_s: float
    p95_completion_s: float
    p99_completion_s: float
    mean_slowdown: float  # completion over the time that the run takes a slot
    p99_slowdown: float
    mean_wait_s: float
    max_wait_s: float
    jain_index: float  # of the teams' speeds, mean over seeds; 1: all teams are slowed down alike
    idle_while_waiting: float  # share of slot time in which a slot was idle though a run that it could do waited
    wasted: float  # share of slot time spent on attempts that a death cut off
    ratio_to_bound: Interval
    speedup: Mapping[str, Interval]  # over each baseline: its mean completion time over this one


def evaluate(streams: Mapping[int, Stream], setting: Setting) -> Evaluation:
    """Simulates each stream under the setting's policy and under the baselines, which neither reuse nor stop early."""
    outcomes = [simulate(stream, setting, seed) for seed, stream in streams.items()]
    plain = replace(setting, reuse=False, stop_early=0.0)
    speedup = {}
    for name in BASELINES:
        usual = [simulate(s, replace(plain, policy=policy_named(name)), seed) for seed, s in streams.items()]
        speedup[name] = speedup_over(usual, outcomes)
    return figures_of(setting.policy, outcomes, speedup)


def figures_of(policy: SchedulingPolicy, outcomes: Sequence[Outcome], speedup: Mapping[str, Interval]) -> Evaluation:
    """The figures of outcomes that one policy led to, one for each seed."""
    completion_s = np.concatenate([outcome.completion_s for outcome in outcomes])
    slowdown = np.concatenate([slowdowns(outcome) for outcome in outcomes])
    wait_s = np.concatenate([outcome.wait_s for outcome in outcomes])
    slot_s = sum(outcome.slot_s for outcome in outcomes)
    return Evaluation(
        policy=policy.name,
        runs=len(completion_s),
        reused=sum(int((~outcome.executed).sum()) for outcome in outcomes),
        mean_completion_s=float(completion_s.mean()),
        p95_completion_s=float(np.quantile(completion_s, 0.95, method="inverted_cdf")),
        p99_completion_s=float(np.quantile(completion_s, 0.99, method="inverted_cdf")),
        mean_slowdown=float(slowdown.mean()),
        p99_slowdown=float(np.quantile(slowdown, 0.99, method="inverted_cdf")),
        mean_wait_s=float(wait_s.mean()),
        max_wait_s=float(wait_s.max()),
        jain_index=float(np.mean([jain_of(outcome) for outcome in outcomes])),
        idle_while_waiting=sum(outcome.idle_while_waiting_s for outcome in outcomes) / slot_s,
        wasted=sum(outcome.wasted_s for outcome in outcomes) / slot_s,
        ratio_to_bound=_ratio_to_bound(outcomes),
        speedup=speedup,
    )


def slowdowns(outcome: Outcome) -> Floats:
    """Completion time over the time that the run takes a slot, for runs that were executed."""
    found: Floats = (outcome.completion_s / outcome.taken_s)[outcome.executed]
    return found


def jain_of(outcome: Outcome) -> float:
    """R. Jain's index (1984) of the teams' speeds, a speed being 1 / mean slowdown: (sum x)^2 / (n sum x^2)."""
    return jain_index(np.array(outcome.stream.team)[outcome.executed], slowdowns(outcome))


def jain_index(team: NDArray[np.str_], slowdown: Floats) -> float:
    """As ``jain_of``, from the team and the slowdown of each run, both (n,)."""
    speed = np.array([1 / slowdown[team == name].mean() for name in np.unique(team)])
    return float(speed.sum() ** 2 / (len(speed) * (speed**2).sum()))


def speedup_over(usual: Sequence[Outcome], outcomes: Sequence[Outcome]) -> Interval:
    """Mean completion time of ``usual`` over that of ``outcomes``, over all seeds; resampled in pairs."""
    if len(outcomes) == 1:
        return block_bootstrap(usual[0].completion_s, outcomes[0].completion_s)
    above = np.array([outcome.completion_s.mean() for outcome in usual])
    return bootstrap(above, np.array([outcome.completion_s.mean() for outcome in outcomes]))


def _ratio_to_bound(outcomes: Sequence[Outcome]) -> Interval:
    if len(outcomes) == 1:
        executed = outcomes[0].executed
        return block_bootstrap(outcomes[0].completion_s[executed], outcomes[0].bounds_s[executed])
    return bootstrap(np.array([outcome.ratio_to_bound for outcome in outcomes]))


def bootstrap(above: Floats, below: Floats | None = None) -> Interval:
    """Mean of ``above``, over the mean of ``below`` if there is one, with a 95 % interval over the seeds."""
    under = np.ones(len(above)) if below is None else below
    picks = np.random.default_rng(0).integers(len(above), size=(RESAMPLES, len(above)))
    drawn = above[picks].mean(axis=1) / under[picks].mean(axis=1)
    low, high = np.quantile(drawn, (0.025, 0.975))
    return Interval(float(above.mean() / under.mean()), float(low), float(high), len(above))


def block_bootstrap(above: Floats, below: Floats) -> Interval:
    """Sum of ``above`` over sum of ``below``, both (n,) of the runs by arrival, with a 95 % interval.

    Runs that are near each other wait for the same runs, so blocks of about sqrt(n) neighbours are drawn, the last run
    being followed by the first (circular block bootstrap, D. N. Politis and J. P. Romano 1992).
    """
    n = len(above)
    length = math.ceil(math.sqrt(n))
    first = np.random.default_rng(0).integers(n, size=(RESAMPLES, math.ceil(n / length)))
    sums = []
    for values in (above, below):
        until = np.concatenate([[0.0], np.cumsum(np.concatenate([values, values[:length]]))])
        sums.append((until[first + length] - until[first]).sum(axis=1))
    low, high = np.quantile(sums[0] / sums[1], (0.025, 0.975))
    return Interval(float(above.sum() / below.sum()), float(low), float(high), 1)
