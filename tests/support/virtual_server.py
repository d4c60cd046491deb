"""A single server in virtual time, and what queueing theory says about it: truth for searches and comparisons.

Nothing of the product is used here.
"""

import math

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq  # type: ignore[import-untyped]

Times = npt.NDArray[np.float64]


def responses(arrivals: Times, services: Times) -> Times:
    """Response times of one first-come-first-served server, in the unit of its inputs, shape (n,).

    Lindley's recursion in closed form: request k ends at ``C[k] + max over j <= k of (arrival[j] - C[j-1])``, where
    C is the running sum of the service times.
    """
    ends = np.cumsum(services)
    return np.asarray(ends + np.maximum.accumulate(arrivals - (ends - services)) - arrivals)


def poisson_arrivals(draw: np.random.Generator, rate: float, span: float) -> Times:
    """Arrival times of a Poisson process over [0, span), given their number as expected."""
    return np.cumsum(draw.exponential(1 / rate, int(rate * span)))


def md1_limit_rate(q: float, limit: float) -> float:
    """The arrival rate at which the q-quantile of M/D/1's response time is ``limit`` service times.

    The waiting time's distribution is Erlang's (1909), as in Kleinrock, Queueing Systems I:
    P(W <= t) = (1 - a) * sum over k <= t of (-x)^k / k! * e^x with x = a * (t - k), at a service time of 1.
    """

    def excess(rate: float) -> float:
        waits = [rate * (limit - 1 - k) for k in range(math.floor(limit - 1) + 1)]
        return (1 - rate) * sum((-x) ** k / math.factorial(k) * math.exp(x) for k, x in enumerate(waits)) - q

    return float(brentq(excess, 1e-6, 1 - 1e-6))


def mm1_limit_rate(q: float, limit: float) -> float:
    """The same for M/M/1 at a mean service time of 1: its response time is exponential of rate 1 - a."""
    return 1 + math.log(1 - q) / limit
