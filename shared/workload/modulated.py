"""A two-state Markov-modulated Poisson process: calm and burst take turns for exponential times.

Definitions and moments: Fischer and Meier-Hellstern, "The Markov-modulated Poisson process (MMPP) cookbook",
Performance Evaluation 18, 1993.
"""

from dataclasses import dataclass

import numpy as np

from shared.errors import InvalidInput
from shared.jobs.workload import MAX_PLANNED_REQUESTS, MmppWorkload
from shared.workload import draws
from shared.workload.draws import Integers
from shared.workload.law import LONGEST_MEAN_GAP_NS, Arrivals
from shared.workload.rescaled import LinearPieces, positions, rounded_before


@dataclass(frozen=True)
class States:
    """The two states that a workload's mean rate, ratio, share and burst length come to."""

    calm_rps: float
    burst_rps: float
    calm_ns: float  # mean length
    burst_ns: float

    @classmethod
    def of(cls, workload: MmppWorkload) -> "States":
        """The calm rate is rate / (1 - share + ratio x share), so that the mean rate is ``rate``."""
        share = workload.burst_share
        calm_rps = workload.rate / (1 - share + workload.burst_ratio * share)
        return cls(
            calm_rps=calm_rps,
            burst_rps=calm_rps * workload.burst_ratio,
            calm_ns=min(workload.burst_length * (1 - share) / share, LONGEST_MEAN_GAP_NS),
            burst_ns=float(workload.burst_length),
        )


def mmpp(workload: MmppWorkload) -> Arrivals:
    """Starts in the long-run state, so that the law is the same at every moment.

    Raises:
        InvalidInput: the bursts that the seed draws hold more requests than can be planned.
    """
    states = States.of(workload)
    end_ns = workload.warmup + workload.duration
    starts_ns, bursts = sojourns(workload, end_ns)
    lengths_ns = np.diff(starts_ns, append=end_ns)
    rates = np.where(bursts, states.burst_rps, states.calm_rps)
    curve = LinearPieces(lengths_ns, rates, rates)
    if curve.total > MAX_PLANNED_REQUESTS:
        found = f"with seed {workload.seed} the bursts hold {curve.total:,.0f} requests"
        raise InvalidInput(
            f"{found}; at most {MAX_PLANNED_REQUESTS:,} can be planned: take shorter bursts or a lower rate"
        )
    times_ns = curve.times_ns(positions("poisson", workload.seed, curve.total))
    return Arrivals(due_ns=rounded_before(times_ns, end_ns), max_in_flight=workload.max_in_flight)


def sojourns(workload: MmppWorkload, end_ns: int) -> tuple[Integers, np.ndarray[tuple[int], np.dtype[np.bool_]]]:
    """Start of each stay in a state, from 0, and whether it is a burst; both of shape (k,)."""
    states = States.of(workload)
    source = draws.stream(workload.seed, draws.STARTS)
    first_burst = bool(draws.uniforms(source, 1)[0] < workload.burst_share)
    pair_ns = np.array([states.burst_ns, states.calm_ns] if first_burst else [states.calm_ns, states.burst_ns])

    def stays(count: int) -> draws.Floats:
        return np.asarray(draws.exponentials(source, 2 * count) * np.tile(pair_ns, count))

    ends_ns = draws.running_sum(stays, end_ns / float(pair_ns.sum()), end_ns)
    starts_ns = np.concatenate([[0], ends_ns]).astype(np.int64)
    return starts_ns, (np.arange(len(starts_ns)) % 2 == 0) == first_burst
