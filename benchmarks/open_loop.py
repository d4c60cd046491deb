"""Does the generator send what it was asked for, and when it was asked for it?"""

from collections.abc import Iterable
from typing import Final

import numpy as np
from support.sending import target_of

from benchmarks.cores import HAS_TWO, SERVER
from benchmarks.figure import Figure
from benchmarks.loading import Ran, load
from shared.testing.behaviour import NULL
from shared.testing.golden_server import golden_server

RATE: Final = 1_000
SECONDS: Final = 10
LADDER: Final = (8_000, 9_000, 10_000, 12_000, 14_000, 16_000, 20_000, 24_000, 28_000, 32_000)
RUNG_S: Final = 3
ACHIEVED: Final = 0.99


def send_lateness() -> Iterable[Figure]:
    """Due time to send, 1,000 requests/s at Poisson gaps for 10 s, null server; with a core free and without.

    Without one, sender and server share a single core. Bias: due times within microseconds of each other, as Poisson
    has them, cannot both be met; that is in the p99.
    """
    workload = {"pattern": "poisson", "rate": RATE, "duration": f"{SECONDS}s"}
    with golden_server(NULL, cores=[SERVER]) as server:
        target = target_of(server)
        shared = load(target, workload, own_core=False, core=SERVER)
        free = load(target, workload) if HAS_TWO else None
    for share, target_us in ((50, 20), (99, 100)):
        yield Figure(
            name=f"open loop, {RATE:,}/s: send lateness p{share}, core free",
            measured=None if free is None else _lateness_us(free, share),
            unit="us",
            high=target_us,
            detail="not measured: there is one core only" if free is None else _spread(free),
        )
    yield Figure(
        name=f"open loop, {RATE:,}/s: send lateness p99, core shared with the server",
        measured=_lateness_us(shared, 99),
        unit="us",
        high=1_000,
        detail=_spread(shared),
    )


def _lateness_us(ran: Ran, share: float) -> float:
    return float(np.percentile(ran.between("due_ns", "send_start_ns"), share, method="inverted_cdf"))


def _spread(ran: Ran) -> str:
    late_us = ran.between("due_ns", "send_start_ns")
    return f"n {len(late_us)}, mean {late_us.mean():.1f}, largest {late_us.max():.0f} us"


def open_loop_ceiling() -> Iterable[Figure]:
    """The highest rung of a ladder of constant rates at which at least 99 % of the offered are answered in the window.

    One sender process and the null server share two cores. Bias: the null server is Python, too, and its core may be
    full first; so this is a lower bound of what the sender can do.
    """
    reached, told = 0.0, []
    with golden_server(NULL, cores=[SERVER]) as server:
        for rate in LADDER:
            ran = load(target_of(server), {"pattern": "constant", "rate": rate, "duration": f"{RUNG_S}s"})
            achieved = ran.completed_rps() / rate
            told.append(f"{rate:,}: {achieved:.1%}")
            if achieved < ACHIEVED:
                break
            reached = rate
    yield Figure(
        name="open-loop ceiling, null server sharing the box",
        measured=reached,
        unit="/s",
        low=8_000,
        detail="achieved at " + ", ".join(told),
    )
