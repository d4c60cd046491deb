"""A server whose latency distribution is known: by its law in virtual time, by its own journal over loopback."""

import math
from collections.abc import Iterable
from dataclasses import replace
from statistics import NormalDist
from typing import Final

import numpy as np
from support.sending import target_of

from benchmarks.cores import SERVER
from benchmarks.figure import Figure
from benchmarks.loading import load
from shared.jobs.workload import PoissonWorkload
from shared.measure.latency import summarize
from shared.measure.record import PERCENTILES
from shared.testing.behaviour import log_normal
from shared.testing.golden_server import golden_server
from shared.testing.journal import served_ns
from shared.testing.virtual_run import virtual_columns
from shared.workload.arrivals import make_plan

MEDIAN_MS: Final = 5.0
SIGMA: Final = 0.5
VIRTUAL: Final = {"pattern": "poisson", "rate": 1_000, "warmup": "0s", "duration": "10m"}
REAL: Final = {"pattern": "poisson", "rate": 1_000, "warmup": "0s", "duration": "20s"}
TIMEOUT_NS: Final = 3_600_000_000_000


def log_normal_virtual() -> Iterable[Figure]:
    """Each percentile against its analytic quantile, 600,000 requests in virtual time.

    Measured is the worst of |error| / max(1 % of the truth, half of the percentile's own interval). No bias: there is
    no clock in it.
    """
    plan = make_plan(PoissonWorkload.model_validate(VIRTUAL), 1)
    columns = virtual_columns(plan, log_normal(MEDIAN_MS, SIGMA), timeout_ns=TIMEOUT_NS)
    shown = summarize(np.asarray(columns["done_ns"] - columns["due_ns"])).percentiles
    worst, told = 0.0, []
    for name, share in PERCENTILES.items():
        truth_ms = MEDIAN_MS * math.exp(SIGMA * NormalDist().inv_cdf(share))
        one = shown[name]
        if one.ms is None or one.low_ms is None or one.high_ms is None:
            raise RuntimeError(f"{name} of {len(plan.due_ns)} samples: {one.reason}")
        worst = max(worst, abs(one.ms - truth_ms) / max(0.01 * truth_ms, (one.high_ms - one.low_ms) / 2))
        told.append(f"{name} {one.ms:.3f} of {truth_ms:.3f}")
    yield Figure(
        name="log-normal, virtual time: worst error / max(1 %, interval)",
        measured=worst,
        unit="",
        high=1,
        detail="ms: " + ", ".join(told),
    )


def log_normal_loopback() -> Iterable[Figure]:
    """Each response percentile against the same percentile of the server's journal, 20,000 requests over loopback.

    Measured is the worst of |difference| less half of the percentile's interval. Bias: the journal begins at the
    server's read and ends at its write; the send, loopback twice and waking the sender come on top. The server polls
    all the time, so that waking it does not.
    """
    behaviour = replace(log_normal(MEDIAN_MS, SIGMA), never_sleeps=True)
    with golden_server(behaviour, cores=[SERVER]) as server:
        ran = load(target_of(server), REAL)
        truth_ns = served_ns(server.journal())
    shown = summarize((ran.between("due_ns", "done_ns") * 1000).round().astype(np.int64)).percentiles
    true = summarize(truth_ns).percentiles
    worst_us, told = 0.0, []
    for name in PERCENTILES:
        one, truth_ms = shown[name], true[name].ms
        if one.ms is None or truth_ms is None or one.low_ms is None or one.high_ms is None:
            told.append(f"{name} {one.reason}")
            continue
        error_us = (one.ms - truth_ms) * 1000
        worst_us = max(worst_us, abs(error_us) - (one.high_ms - one.low_ms) / 2 * 1000)
        told.append(f"{name} {error_us:+.0f}")
    yield Figure(
        name="log-normal, loopback: worst error beyond the interval",
        measured=worst_us,
        unit="us",
        high=100,
        detail="us against the journal: " + ", ".join(told),
    )
