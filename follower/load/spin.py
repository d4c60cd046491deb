"""Whether, and how long before each due time, a sender polls instead of sleeping: measured, then decided.

A timer wakes a sleeping process tens of microseconds late, on a virtual machine up to some hundreds. Polling hides
that, but burns the core: so only where nothing that is measured runs on it, where nobody else was seen to use it, and
for at most a third of the time.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

import numpy as np

from follower.load.waiter import Waiter
from shared.workload.plan import Plan

MOST_BURNT: Final = 1 / 3
"""Share of the core that polling may burn: with the work of a busy sender it stays below the share of a client core
at which a run counts as limited by its client."""

MOST_LOST: Final = 0.2
"""Share of a short poll (the median of several) that others may take away before the core counts as not free. A
hypervisor alone was seen to take 4 to 6 %, in pieces of half a millisecond that no steal time tells of."""

SHORTEST_NS: Final = 100_000
"""Where less than this is left between requests, polling is of no use."""

USUAL_NS: Final = 300_000
LONGEST_NS: Final = 500_000
"""Bounds of the polling before a due time, where the gaps leave room: a core that idles for longer than the check's
waits sleeps deeper (200 us to wake was seen after 20 ms), and a bad moment must not burn too much."""

_MARGIN: Final = 1.25  # over the longest overshoot seen
_WAITS: Final = 20
_WAIT_NS: Final = 1_000_000
_POLLS: Final = 5
_POLLED_NS: Final = 5_000_000
_GAP_NS: Final = 50_000  # between two readings of the clock: longer means that the core was away


@dataclass(frozen=True, kw_only=True)
class CoreCheck:
    """What was seen of the sender's core just before the start."""

    overshoots_ns: Sequence[int]  # how late the timer woke, each time
    lost_share: float  # of a short poll, the median of several: one stir of a neighbour is no neighbour at work


@dataclass(frozen=True)
class Spin:
    """How long before a due time to poll, and why so long or not at all."""

    before_ns: int
    reason: str


def check_core(waiter: Waiter) -> CoreCheck:
    """Takes about 45 ms on the core that the sender will use."""
    return CoreCheck(
        overshoots_ns=[_overshoot_ns(waiter) for _ in range(_WAITS)],
        lost_share=median(_lost_share() for _ in range(_POLLS)),
    )


def _overshoot_ns(waiter: Waiter) -> int:
    due_ns = time.monotonic_ns() + _WAIT_NS
    while (now_ns := time.monotonic_ns()) < due_ns:
        waiter.wait(due_ns, due_ns + _WAIT_NS, now_ns)
    return now_ns - due_ns


def _lost_share() -> float:
    began_ns = last_ns = time.monotonic_ns()
    lost_ns = 0
    while last_ns < began_ns + _POLLED_NS:
        now_ns = time.monotonic_ns()
        if now_ns - last_ns > _GAP_NS:
            lost_ns += now_ns - last_ns
        last_ns = now_ns
    return lost_ns / (last_ns - began_ns)


def decide_spin(plan: Plan, check: CoreCheck) -> Spin:
    """The longest useful poll that the plan's gaps leave room for. The core is known to be the sender's own."""
    if check.lost_share > MOST_LOST:
        return Spin(0, f"others took {check.lost_share:.0%} of the core, so waiting does not poll")
    seen_ns = max(check.overshoots_ns)
    woke = f"the timer woke up to {seen_ns / 1e3:.0f} us late"
    spin_ns = min(max(round(seen_ns * _MARGIN), USUAL_NS), LONGEST_NS)
    while burnt_share(plan, spin_ns) > MOST_BURNT:
        spin_ns = spin_ns * 3 // 4
        if spin_ns < SHORTEST_NS:
            return Spin(0, f"requests are too close together to poll before each; {woke}")
    return Spin(spin_ns, f"polls the last {spin_ns / 1e3:.0f} us before a request; {woke}")


def burnt_share(plan: Plan, spin_ns: int) -> float:
    """Share of the plan's time that polling ``spin_ns`` before each due time burns."""
    gaps_ns = np.diff(plan.due_ns, prepend=0)
    return float(np.minimum(gaps_ns, spin_ns).sum() / plan.end_ns)
