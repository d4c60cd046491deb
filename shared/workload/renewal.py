"""Laws with independent gaps of one distribution: constant, Poisson, gamma."""

import math
from typing import Final

import numpy as np
import numpy.typing as npt

from shared.jobs.workload import ConstantWorkload, GammaWorkload, PoissonWorkload
from shared.workload import draws
from shared.workload.law import NS_PER_S, Arrivals, mean_gap_ns

_START_TRIALS: Final = 16  # each succeeds in at least 95 of 100, so all fail once in 10**20 plans

Due = npt.NDArray[np.int64]


def constant(workload: ConstantWorkload) -> Arrivals:
    """Equal gaps: request i is due at i / rate."""
    end_ns = workload.warmup + workload.duration
    count = math.ceil(end_ns * workload.rate / NS_PER_S)
    due_ns = np.rint(np.arange(count) * mean_gap_ns(workload.rate)).astype(np.int64)
    return Arrivals(due_ns=due_ns[due_ns < end_ns], rate_rps=workload.rate, max_in_flight=workload.max_in_flight)


def poisson(workload: PoissonWorkload) -> Arrivals:
    """Exponential gaps, summed over warm-up and window without a break."""
    due_ns = poisson_due_ns(workload.seed, workload.rate, workload.warmup + workload.duration)
    return Arrivals(due_ns=due_ns, rate_rps=workload.rate, max_in_flight=workload.max_in_flight)


def poisson_due_ns(seed: int, rate_rps: float, end_ns: int) -> Due:
    """Arrivals of a Poisson process on [0, end_ns), shape (n,)."""
    source = draws.stream(seed, draws.ARRIVALS)
    gap_ns = mean_gap_ns(rate_rps)
    return draws.running_sum(lambda count: draws.exponentials(source, count) * gap_ns, end_ns / gap_ns, end_ns)


def gamma(workload: GammaWorkload) -> Arrivals:
    """Gamma-distributed gaps of shape 1 / cv^2 and mean 1 / rate, from a start that falls at random into a gap.

    The time to the first arrival is then a uniform share of a gap chosen with weight its length, and a gamma gap so
    chosen has a shape larger by 1 (Cox, "Renewal Theory", 1962, section 5.2 to 5.4). So the mean rate is ``rate`` at
    every moment, and a bursty plan does not always begin with a burst.
    """
    end_ns = workload.warmup + workload.duration
    shape = 1 / workload.cv**2
    gap_ns = mean_gap_ns(workload.rate)
    scale_ns = gap_ns / shape
    start = draws.stream(workload.seed, draws.STARTS)
    share = float(draws.uniforms(start, 1)[0])
    chosen_ns = float(draws.gammas(start, _START_TRIALS, shape + 1)[0]) * scale_ns
    source = draws.stream(workload.seed, draws.ARRIVALS)
    due_ns = draws.running_sum(
        lambda count: draws.gammas(source, count, shape) * scale_ns,
        expected=end_ns / gap_ns,
        end=end_ns,
        first=round(min(share * chosen_ns, float(end_ns))),
    )
    return Arrivals(due_ns=due_ns, max_in_flight=workload.max_in_flight)
