"""Two servers that most tools report wrongly: one that freezes, and one that cannot keep up."""

import math
from collections.abc import Iterable
from typing import Final

import numpy as np
from support.sending import target_of

from benchmarks.cores import SERVER
from benchmarks.figure import Figure
from benchmarks.loading import load
from shared.testing.behaviour import limited, stalling
from shared.testing.golden_server import golden_server

TRUTH_MS: Final = {0.90: 400, 0.95: 700, 0.99: 940}
"""One request in six falls into the freeze and waits U(0, 1 s): P(wait > t) = (1 - t) / 6."""

CAPACITY: Final = 50
STALL: Final = {"pattern": "constant", "rate": 100, "warmup": "0s", "duration": "60s"}
OVERLOAD: Final = {**STALL, "duration": "15s", "request_timeout": "20s"}


def stall() -> Iterable[Figure]:
    """Response percentiles by nearest rank, 1 ms server frozen 1 s in every 6 s, 100/s constant for 60 s.

    Ten whole periods. Bias: a step of the plan is 10 ms, so a percentile lies up to 10 ms above or below its formula.
    """
    with golden_server(stalling(), cores=[SERVER]) as server:
        ran = load(target_of(server), STALL)
    response_ms = np.sort(ran.between("due_ns", "done_ns")) / 1000
    service_ms = np.sort(ran.between("send_start_ns", "last_byte_ns")) / 1000
    shown = ran.measure().response_latency
    for share, truth_ms in TRUTH_MS.items():
        place = math.ceil(share * len(response_ms)) - 1
        name = f"p{share * 100:.0f}"
        certified = "certified" if shown.percentiles[name].certified else "not certified"
        yield Figure(
            name=f"stall test: response {name} / {truth_ms} ms",
            measured=response_ms[place] / truth_ms,
            unit="",
            low=0.95,
            high=1.05,
            detail=f"{response_ms[place]:.1f} ms ({certified}); service latency {service_ms[place]:.1f} ms",
        )


def overload() -> Iterable[Figure]:
    """Verdict and capacity after 15 s of 100/s, constant, at a server of 50/s that takes one at a time.

    Requests are given up after 20 s, so every one is answered. Bias: none known; the server's clock is its own model.
    """
    with golden_server(limited(CAPACITY), cores=[SERVER]) as server:
        ran = load(target_of(server), OVERLOAD)
    found = ran.measure()
    steady = [name for name, one in found.response_latency.percentiles.items() if one.ms is not None]
    is_told = found.verdict.kind == "overloaded" and not steady
    yield Figure(
        name="overload test: OVERLOADED after 15 s, and no percentile claimed",
        measured=float(is_told),
        unit="",
        low=1,
        detail=f"{found.verdict.kind}; percentiles claimed: {', '.join(steady) or 'none'}",
    )
    yield Figure(
        name=f"overload test: estimate of the capacity, {CAPACITY}/s",
        measured=found.verdict.capacity_rps,
        unit="/s",
        low=CAPACITY * 0.98,
        high=CAPACITY * 1.02,
        detail="; ".join(found.verdict.reasons),
    )
