"""The load generator and the analysis against servers whose law is known, and against what they wrote down.

Laws and counts are exact. Times are those of a busy machine with two cores: tolerances are wide and stated, and none
is tighter than a tenth of what is measured; the exact figures are measured by the benchmarks.
"""

import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pytest
from support.samples import MS
from support.sending import Ran, Rig

from shared.measure.latency import summarize
from shared.testing.behaviour import Behaviour, fixed, limited, log_normal, stalling
from shared.testing.golden_server import golden_server
from shared.testing.journal import NEVER, Done, served_ns


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    """A folder of its own for every run."""
    return Rig(tmp_path)


class Observed(NamedTuple):
    """A run, and what the server did."""

    ran: Ran
    journal: list[Done]


def observe(folder: Path, behaviour: Behaviour, **workload: object) -> Observed:
    """Runs one workload against a server of this behaviour."""
    folder.mkdir()
    with golden_server(behaviour) as server:
        ran = Rig(folder).load(server, warmup="0s", **workload)
        return Observed(ran, server.journal())


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Observed]]:
    """The stall and the overload, side by side: both wait most of the time."""
    folder = tmp_path_factory.mktemp("both")
    at_100 = {"pattern": "constant", "rate": 100}
    with ThreadPoolExecutor(2) as pool:
        stall = pool.submit(observe, folder / "stall", stalling(), duration="18s", request_timeout="5s", **at_100)
        overload = pool.submit(observe, folder / "over", limited(50), duration="15s", request_timeout="20s", **at_100)
        yield {"stall": stall.result(), "overload": overload.result()}


def nearest_rank_ms(durations_ns: npt.NDArray[np.int64], share: float) -> float:
    """The sample itself, in ms."""
    return float(np.sort(durations_ns)[math.ceil(share * len(durations_ns)) - 1]) / MS


def test_a_server_that_freezes_shows_in_the_response_latency(both: dict[str, Observed]) -> None:
    """1 ms, frozen 1 s in every 6 s, at 100/s: p90, p95, p99 are 400, 700, 940 ms.

    Within 5 % and one gap of the plan (10 ms) of the law, and within 30 ms of the server's own journal.
    """
    ran, journal = both["stall"]
    assert ran.errors() == {"ok": len(journal)} == {"ok": 1800}
    response_ns = ran.columns["done_ns"] - ran.columns["due_ns"]
    for share, law_ms in ((0.90, 400), (0.95, 700), (0.99, 940)):
        found_ms = nearest_rank_ms(response_ns, share)
        assert found_ms == pytest.approx(law_ms, abs=0.05 * law_ms + 10)
        assert found_ms == pytest.approx(nearest_rank_ms(served_ns(journal), share), abs=30)
    assert np.std(response_ns) / MS == pytest.approx(220, rel=0.1)


def test_what_is_said_of_a_freezing_server_is_what_was_measured(both: dict[str, Observed]) -> None:
    """A certified percentile is the nearest-rank sample; both latencies stand apart; nothing was held back for it."""
    ran, _ = both["stall"]
    result = ran.measure()
    response_ns = ran.columns["done_ns"] - ran.columns["due_ns"]
    for name, share in (("p90", 0.90), ("p95", 0.95), ("p99", 0.99)):
        shown = result.response_latency.percentiles[name]
        assert shown.certified == (shown.reason is None)
        if shown.certified and result.response_latency.n == len(response_ns):
            assert shown.ms == nearest_rank_ms(response_ns, share)
    assert result.service_latency.n == result.response_latency.n
    assert result.load.sent_rps == pytest.approx(100, rel=0.01)
    assert result.verdict.kind != "overloaded"


def test_a_server_that_cannot_keep_up_is_called_overloaded(both: dict[str, Observed]) -> None:
    """100/s at a capacity of 50/s for 15 s: the verdict, the capacity within 2 %, and no percentile claimed."""
    ran, journal = both["overload"]
    result = ran.measure()
    assert result.verdict.kind == "overloaded"
    assert result.verdict.capacity_rps == pytest.approx(50, rel=0.02)
    assert {one.ms for one in result.response_latency.percentiles.values()} == {None}
    assert not any(one.certified for one in result.response_latency.percentiles.values())
    assert ran.errors() == {"ok": len(journal)} == {"ok": 1500}
    assert result.load.sent == result.load.planned == 1500


def test_the_capacity_is_what_the_server_itself_completed(both: dict[str, Observed]) -> None:
    """Answers that the journal has inside the window, within one."""
    ran, journal = both["overload"]
    answered = [ran.window.start_ns <= done.answered_ns < ran.window.end_ns for done in journal]
    assert ran.measure().throughput_rps * 15 == pytest.approx(sum(answered), abs=1.5)


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_log_normal_latencies_are_those_of_the_journal(rig: Rig, protocol: str) -> None:
    """Every certified percentile lies above the journal's own, by no more than its interval and 10 ms."""
    with golden_server(log_normal(8, 0.5), protocol="grpc" if protocol == "grpc" else "http") as server:
        ran = rig.load(server, pattern="poisson", rate=150, warmup="0s", duration="6s")
        journal = server.journal()
    assert ran.errors() == {"ok": len(journal)}
    response_ns = ran.columns["done_ns"] - ran.columns["due_ns"]
    assert (np.sort(response_ns) >= np.sort(served_ns(journal))).all()
    measured, true = summarize(response_ns).percentiles, summarize(served_ns(journal)).percentiles
    certified = [name for name in measured if measured[name].certified and true[name].certified]
    assert {"p50", "p90", "p95"} <= set(certified)
    for name in certified:
        one, truth_ms = measured[name], true[name].ms
        assert one.ms is not None
        assert truth_ms is not None
        assert one.low_ms is not None
        half_ms = ((one.high_ms or one.ms) - one.low_ms) / 2
        assert truth_ms <= one.ms <= truth_ms + half_ms + 10


@pytest.mark.parametrize(
    "workload",
    [{"pattern": "closed", "concurrency": 6}, {"pattern": "poisson", "rate": 200}],
    ids=["closed loop", "open loop"],
)
def test_littles_law_holds_between_what_three_have_counted(rig: Rig, workload: dict[str, object]) -> None:
    """N = X R within 2 %, with N counted by the sender, X and R from the rows; and the server's own N is no larger."""
    with golden_server(fixed(20)) as server:
        ran = rig.load(server, warmup="300ms", duration="2s", **workload)
        journal = server.journal()
    start_ns, end_ns = ran.window.start_ns, ran.window.end_ns
    counted = ran.outcome.mean_in_flight
    assert counted is not None
    assert _mean_open(ran.columns["start_ns"], ran.columns["done_ns"], start_ns, end_ns) == pytest.approx(
        counted, rel=0.02
    )
    received = np.array([done.received_ns for done in journal])
    answered = np.array([done.answered_ns for done in journal])
    assert NEVER not in answered
    assert 0.4 * counted < _mean_open(received, answered, start_ns, end_ns) <= counted
    assert not [reason for reason in ran.measure().verdict.reasons if "Little" in reason]


def _mean_open(begin_ns: npt.NDArray[np.int64], end_ns: npt.NDArray[np.int64], low_ns: int, high_ns: int) -> float:
    """Time spent inside [low, high) by all together, over its length."""
    inside = np.clip(end_ns, low_ns, high_ns) - np.clip(begin_ns, low_ns, high_ns)
    return float(inside.sum() / (high_ns - low_ns))
