"""What no schedule can beat, however clever: total completion times to hold a schedule against.

All take runs on identical slots, one run a slot, without preemption.
"""

from heapq import heappop, heappush
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def batch_optimum_s(duration_s: Floats, slots: int) -> float:
    """Least total completion time of runs that are all there at 0, in seconds: shortest first, slot by slot.

    The longest run of each slot counts once, the one before it twice, and so on (W. E. Smith 1956 for one machine;
    R. W. Conway, W. L. Maxwell, L. W. Miller 1967 for identical machines). It is reached, not only approached.
    """
    longest_first = np.sort(duration_s)[::-1]
    return float((longest_first * (np.arange(len(longest_first)) // slots + 1)).sum())


def flow_bound_s(arrival_s: Floats, duration_s: Floats, slots: int) -> float:
    """A number of seconds that the total of (end - arrival) is never below.

    The larger of two bounds: the durations themselves; and the relaxation to mean busy times. There, the slots become
    one machine that is ``slots`` times as fast and may preempt. The mean moment at which a run is worked on is at
    least what smallest-first with preemption gives it in sum, and a run that is not preempted ends half its length
    after that moment (M. X. Goemans, M. Queyranne, A. S. Schulz, M. Skutella, Y. Wang 2002).
    """
    return float(flow_bounds_s(arrival_s, duration_s, slots).sum())


def flow_bounds_s(arrival_s: Floats, duration_s: Floats, slots: int) -> Floats:
    """Run -> its part of ``flow_bound_s``, in seconds. Only the sum is a bound: a single run may be below its part."""
    if not len(duration_s):
        return np.zeros(0)
    relaxed_s = mean_busy_times(arrival_s, duration_s / slots) + duration_s / 2 - arrival_s
    return relaxed_s if relaxed_s.sum() > duration_s.sum() else duration_s


class _Waiting(NamedTuple):
    duration_s: float
    run: int


def mean_busy_times(arrival_s: Floats, duration_s: Floats) -> Floats:
    """Run -> the mean moment at which one machine works on it, the smallest run that is there always going first.

    Args:
        arrival_s: (n,) seconds.
        duration_s: (n,) seconds on this machine, all above 0.
    """
    upcoming = [int(run) for run in np.argsort(arrival_s, kind="stable")[::-1]]
    arrivals, durations = arrival_s.tolist(), duration_s.tolist()
    rest_s, moment_s = durations.copy(), np.zeros(len(durations))
    waiting: list[_Waiting] = []
    now_s = 0.0
    while upcoming or waiting:
        if not waiting:
            now_s = max(now_s, arrivals[upcoming[-1]])
        while upcoming and arrivals[upcoming[-1]] <= now_s:
            run = upcoming.pop()
            heappush(waiting, _Waiting(durations[run], run))
        run = waiting[0].run
        ends_s = now_s + rest_s[run]
        until_s = min(ends_s, arrivals[upcoming[-1]]) if upcoming else ends_s
        moment_s[run] += (until_s - now_s) * (until_s + now_s) / 2
        if until_s >= ends_s:
            heappop(waiting)
        else:
            rest_s[run] -= until_s - now_s
        now_s = until_s
    found: Floats = moment_s / duration_s
    return found
