"""One comparison at a time: what it says, and what it says when it cannot tell."""

import numpy as np
import pytest
from scipy import stats  # type: ignore[import-untyped]

from shared.measure.compare import Comparison, RunData, compare, superiority
from shared.measure.latency import FOR_EVER_NS

RATE = 100


def run(seed: int, *, factor: float = 1.0, n: int = 3000, failed: int = 0, rate: float = RATE) -> RunData:
    """A run of log-normal latencies, with Poisson completions."""
    draw = np.random.default_rng(seed)
    latencies = np.rint(factor * draw.lognormal(np.log(1e7), 0.3, n)).astype(np.int64)
    latencies[:failed] = FOR_EVER_NS
    return RunData(latencies, draw.poisson(rate, 30).astype(np.int64), 1.0)


def runs(seed: int, count: int, **changes: float) -> list[RunData]:
    """Several runs, whose latencies differ by ``spread`` from one to the next."""
    drift = np.random.default_rng(seed).normal(0, changes.pop("spread", 0.01), count)
    factor = changes.pop("factor", 1.0)
    return [run(100 * seed + at, factor=factor * float(np.exp(drift[at])), **changes) for at in range(count)]  # type: ignore[arg-type]


def test_a_clearly_faster_side_is_faster() -> None:
    """B takes 20 % less: the interval holds that, and the effect is told in two ways."""
    found = compare([run(1)], [run(2, factor=0.8)], "p50")
    assert found.outcome == "faster"
    assert found.low is not None
    assert found.high is not None
    assert found.low < -0.2 < found.high < 0
    assert found.relative == pytest.approx(-0.2, abs=0.03)
    assert found.difference == pytest.approx((found.b.value or 0) - (found.a.value or 0))
    assert found.superiority is not None
    assert found.superiority > 0.6


def test_the_sides_are_mirror_images() -> None:
    """A against B says the opposite of B against A."""
    a, b = [run(1)], [run(2, factor=0.8)]
    there, back = compare(a, b, "p90"), compare(b, a, "p90")
    assert (there.outcome, back.outcome) == ("faster", "slower")
    assert (1 + (there.relative or 0)) * (1 + (back.relative or 0)) == pytest.approx(1)
    assert (there.superiority or 0) + (back.superiority or 0) == pytest.approx(1)


def test_one_and_the_same_is_equivalent() -> None:
    """With enough requests, and said with the interval."""
    found = compare([run(1, n=20_000)], [run(2, n=20_000)], "p50")
    assert found.outcome == "equivalent"
    assert found.requests_needed is None


def test_a_real_difference_below_the_margin_is_equivalent() -> None:
    """1 % is surely there, and surely too small to matter."""
    a, b = [run(1, n=200_000)], [run(2, n=200_000, factor=1.01)]
    found = compare(a, b, "p50")
    assert found.low is not None
    assert found.low > 0
    assert found.outcome == "equivalent"
    assert compare(a, b, "p50", margin=0.005).outcome == "slower"


def test_too_few_requests_are_inconclusive_and_say_how_many_would_do() -> None:
    """With the number that it names, the same difference is found."""
    found = compare([run(1, n=500)], [run(2, n=500, factor=1.05)], "p90")
    assert found.outcome == "inconclusive"
    needed = found.requests_needed
    assert needed is not None
    assert 1_000 < needed < 100_000
    assert compare([run(3, n=needed)], [run(4, n=needed, factor=1.06)], "p90").outcome == "slower"


def test_too_few_for_an_interval_say_at_least_how_many() -> None:
    """200 requests have no interval at p99; the number named then is where one begins."""
    found = compare([run(1, n=200)], [run(2, n=200)], "p99")
    assert (found.outcome, found.low, found.high) == ("inconclusive", None, None)
    assert found.relative is not None
    assert found.requests_needed is not None
    assert found.requests_needed >= 382
    assert any("sampling error cannot be told" in note for note in found.notes)


def test_one_run_a_side_says_what_is_not_known() -> None:
    """The spread of whole runs."""
    found = compare([run(1)], [run(2)], "p50")
    assert found.between_runs is None
    assert "one run a side: how much whole runs differ from one another is not known" in found.notes


def test_repeats_are_judged_by_how_much_runs_differ() -> None:
    """The interval is Student's t on the runs' own percentiles, with the deviation pooled over both sides."""
    a, b = runs(1, 5, n=50_000), runs(2, 5, n=50_000)
    found = compare(a, b, "p50", alpha=0.05)
    logs = [[np.log(np.sort(r.response_ns)[24_999]) for r in side] for side in (a, b)]
    expected = stats.ttest_ind(logs[1], logs[0]).confidence_interval(0.95)
    assert found.low is not None
    assert found.high is not None
    assert np.log1p(found.high) - np.log1p(found.low) == pytest.approx(expected.high - expected.low, rel=1e-6)
    assert found.between_runs == pytest.approx(np.sqrt((np.var(logs[0], ddof=1) + np.var(logs[1], ddof=1)) / 2))
    assert (found.a.runs, found.a.requests) == (5, 250_000)


def test_repeats_never_seem_surer_than_their_requests() -> None:
    """Runs that agree by luck do not shrink the interval below the sampling error."""
    one = run(1, n=1_000)
    same, single = compare([one] * 3, [run(2, n=1_000)] * 3, "p50"), compare([one], [run(2, n=1_000)], "p50")
    assert same.between_runs == pytest.approx(0, abs=1e-12)
    assert single.high is not None
    assert same.high is not None
    assert same.high > (single.high - (single.relative or 0)) / 3**0.5 + (single.relative or 0)


def test_inconclusive_repeats_ask_for_more_repeats() -> None:
    """More requests would not help against runs that differ."""
    found = compare(runs(1, 2, n=2_000, spread=0.03), runs(2, 2, n=2_000, factor=1.1, spread=0.03), "p50")
    assert found.outcome == "inconclusive"
    assert found.requests_needed is None
    assert found.runs_needed is not None
    assert 2 < found.runs_needed < 50
    assert any("few repeats: 2 degrees of freedom" in note for note in found.notes)


def test_repeats_on_one_side_only_lend_their_spread_to_the_other() -> None:
    """Both sides run on the same kind of host."""
    found = compare(runs(1, 5), [run(9, factor=1.3)], "p50")
    assert found.outcome == "slower"
    assert found.between_runs is not None


def test_a_percentile_that_falls_on_failures_is_inconclusive() -> None:
    """Failures took for ever: a side with 2 % of them has no p99, however fast the rest is."""
    found = compare([run(1)], [run(2, factor=0.5, failed=60)], "p99")
    assert (found.outcome, found.b.value, found.relative) == ("inconclusive", None, None)
    assert found.b.failures == 60
    assert any("side B has no finite value" in note for note in found.notes)


def test_a_side_without_requests_is_inconclusive() -> None:
    """Nothing to compare is no error."""
    nothing = RunData(np.zeros(0, np.int64), np.zeros(30, np.int64), 1.0)
    for at in ("p50", "throughput"):
        found = compare([nothing], [run(1)], at)
        assert (found.outcome, found.superiority) == ("inconclusive", None)


def test_more_throughput_is_faster() -> None:
    """Here more is better."""
    found = compare([run(1, rate=1000)], [run(2, rate=1200)], "throughput")
    assert (found.outcome, found.unit) == ("faster", "req/s")
    assert found.a.value == pytest.approx(1000, rel=0.02)
    assert compare([run(1, rate=1000)], [run(2, rate=1000)], "throughput").outcome == "equivalent"
    assert compare([run(1, rate=10)], [run(2, rate=10)], "throughput").outcome == "inconclusive"


def test_the_pooled_percentile_is_one_of_all_requests() -> None:
    """Not a mean of percentiles: one slow run of three decides the p90 of all."""
    side = [run(1, n=1000), run(2, n=1000), run(3, n=1000, factor=10)]
    pooled = np.sort(np.concatenate([r.response_ns for r in side]))
    assert compare(side, [run(4)], "p90").a.value == pytest.approx(pooled[2699] / 1e6)


def test_superiority_is_the_mann_whitney_statistic() -> None:
    """Over the number of pairs, ties half."""
    draw = np.random.default_rng(1)
    a, b = draw.integers(0, 50, 300), draw.integers(10, 60, 200)
    statistic = stats.mannwhitneyu(a, b).statistic
    assert superiority(a, b) == pytest.approx(statistic / (300 * 200))
    assert superiority(a, a) == 0.5


@pytest.mark.parametrize(
    ("a", "at", "margin"),
    [([], "p50", 0.05), ([run(1)], "p97", 0.05), ([run(1)], "p50", 0.0)],
    ids=["a", "at", "margin"],
)
def test_what_cannot_be_compared_is_refused(a: list[RunData], at: str, margin: float) -> None:
    """No run, no such figure, no margin."""
    with pytest.raises(ValueError, match="nothing to compare"):
        compare(a, [run(2)], at, margin=margin)


def test_the_result_survives_json() -> None:
    """For scripts."""
    found = compare([run(1)], [run(2)], "p99.9")
    assert Comparison.model_validate_json(found.model_dump_json()) == found
