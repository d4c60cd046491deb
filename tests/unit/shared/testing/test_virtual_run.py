"""Runs in virtual time: the columns' own rules, and what is known of the laws."""

import math
from itertools import pairwise

import numpy as np
import pytest
from scipy import stats  # type: ignore[import-untyped]
from support.virtual_server import responses

from shared.jobs.workload import ConstantWorkload, PoissonWorkload
from shared.measure.columns import COLUMNS, ERROR_KINDS, NOT_AVAILABLE
from shared.testing.behaviour import fixed, limited, log_normal
from shared.testing.virtual_run import ORIGIN_NS, in_flight_of, virtual_columns
from shared.workload.arrivals import make_plan
from shared.workload.plan import Plan

MS = 1_000_000
S = 1_000_000_000


def constant(rate: float, seconds: int) -> Plan:
    """Equal gaps, without warm-up."""
    spec = ConstantWorkload.model_validate(
        {"pattern": "constant", "rate": rate, "warmup": "0s", "duration": f"{seconds}s"}
    )
    return make_plan(spec, 3)


def test_the_columns_are_those_of_a_real_run() -> None:
    """Names, types and one row per request; stamps in order."""
    columns = virtual_columns(constant(100, 2), fixed(5), timeout_ns=S)
    assert {name: column.dtype.name for name, column in columns.items()} == COLUMNS
    assert {len(column) for column in columns.values()} == {200}
    order = ["due_ns", "start_ns", "send_start_ns", "send_end_ns", "first_byte_ns", "last_byte_ns", "done_ns"]
    assert all((columns[later] >= columns[earlier]).all() for earlier, later in pairwise(order))
    assert columns["due_ns"][0] == ORIGIN_NS
    assert set((columns["done_ns"] - columns["due_ns"]).tolist()) == {5 * MS}


def test_what_takes_too_long_is_given_up() -> None:
    """Offered twice its capacity with a second to wait, a server of 50 per second loses the later ones."""
    columns = virtual_columns(constant(100, 10), limited(50), timeout_ns=S)
    kinds = [ERROR_KINDS[error] for error in columns["error"]]
    assert kinds == ["ok"] * 99 + ["timeout"] * 901
    assert set((columns["done_ns"] - columns["due_ns"])[99:].tolist()) == {S}
    assert set(columns["status"].tolist()) == {0, 200}
    assert set(columns["server_total_ns"][99:].tolist()) == {NOT_AVAILABLE}


def test_the_queue_is_the_one_of_the_closed_form() -> None:
    """Poisson arrivals at a load of 0.8: each response time as Lindley's recursion has it, to the nanosecond."""
    spec = PoissonWorkload.model_validate({"pattern": "poisson", "rate": 80, "warmup": "0s", "duration": "50s"})
    plan = make_plan(spec, 1)
    columns = virtual_columns(plan, limited(100), timeout_ns=100 * S)
    expected = responses(plan.due_ns.astype(np.float64), np.full(len(plan.due_ns), 10.0 * MS))
    np.testing.assert_allclose(columns["done_ns"] - columns["due_ns"], expected, atol=1)


def test_log_normal_latencies_have_the_quantiles_of_their_law() -> None:
    """p50, p90 and p99 of 60,000 requests within five standard errors of the analytic quantile."""
    columns = virtual_columns(constant(1000, 60), log_normal(10, 0.4), timeout_ns=100 * S)
    latencies_ms = np.sort(columns["done_ns"] - columns["due_ns"]) / MS
    law = stats.lognorm(s=0.4, scale=10)
    for share in (0.5, 0.9, 0.99):
        error = math.sqrt(share * (1 - share) / 60_000) / law.pdf(law.ppf(share))
        assert latencies_ms[math.ceil(share * 60_000) - 1] == pytest.approx(law.ppf(share), abs=5 * error)


def test_in_flight_is_counted_from_starts_and_ends() -> None:
    """Every 10 ms one that takes 25 ms: two or three at a time, two and a half on average once it has begun."""
    columns = virtual_columns(constant(100, 2), fixed(25), timeout_ns=S)
    peak, mean = in_flight_of(columns, ORIGIN_NS + S, ORIGIN_NS + 2 * S)
    assert peak == 3
    assert mean == pytest.approx(2.5)
