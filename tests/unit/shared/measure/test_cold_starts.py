"""What several cold starts say together, on starts made by hand."""

from typing import Any, Literal

import numpy as np
import pytest

from shared.measure.cold_starts import NO_LOAD, PHASES, analyze_cold_starts, steady_of, typical
from shared.measure.manifest import HostLimits
from shared.measure.record import ColdStart, ColdStartRepeat

MS = 1_000_000


def repeat(first_ms: float, *, steady_after: int | None = 2, cached: float | None = 1.0) -> ColdStartRepeat:
    """A start whose phases are fixed shares of its first answer."""
    phases = ColdStart(
        spawned_ms=0.1 * first_ms,
        port_open_ms=0.5 * first_ms,
        model_loaded_ms=0.8 * first_ms,
        ready_ms=0.9 * first_ms,
        first_inference_ms=first_ms,
    )
    return ColdStartRepeat(
        phases=phases, inferences=50, steady_ms=1.0, steady_after=steady_after, cached_share=cached, stopped_ms=20.0
    )


def reasons(*repeats: ColdStartRepeat, cache: Literal["warm", "cold"] = "warm", **more: Any) -> str:
    """What the verdict says of these starts."""
    return "; ".join(analyze_cold_starts(repeats, cache, **more).verdict.reasons)


@pytest.mark.parametrize(
    ("slow", "after"),
    [(0, 0), (1, 0), (3, 1), (7, 5)],
)
def test_latency_is_steady_from_where_most_of_five_in_a_row_are(slow: int, after: int) -> None:
    """So many slow ones first, of fifty: two of five may still be slow."""
    latencies_ns = np.array([9 * MS] * slow + [2 * MS] * (50 - slow), np.int64)
    found = steady_of(latencies_ns)
    assert (found.median_ms, found.after) == (2.0, after)


def test_one_lucky_inference_among_slow_ones_is_not_steady() -> None:
    """Nor does one late one, later, prolong the search."""
    latencies_ns = np.array([9, 9, 2, 9, 9, 9, 9, 9, 9, 9, 2, 2, 2, 2, 9, 2, 2, 2, 2, 2, 2, 2, 2, 2], np.int64) * MS
    assert steady_of(latencies_ns).after == 8


def test_ten_per_cent_is_the_limit() -> None:
    """At it is within, above it is not."""
    within = np.array([110] * 10 + [100] * 40, np.int64) * MS
    above = np.array([111] * 10 + [100] * 40, np.int64) * MS
    assert steady_of(within).after == 0
    assert steady_of(above).after == 8


def test_few_inferences_have_no_steady_median() -> None:
    """Nine: the second half would not fill one row."""
    assert steady_of(np.array([MS] * 9, np.int64)).median_ms is None


def test_each_phase_has_least_median_and_greatest_of_what_was_seen() -> None:
    """The median of four is the second, not a mean of two."""
    starts = analyze_cold_starts([repeat(ms) for ms in (400, 100, 300, 200)], "warm").cold_starts
    for name, share in zip(PHASES, (0.1, 0.5, 0.8, 0.9, 1.0), strict=True):
        spread = starts.phases[name].spread_ms
        assert spread.n == 4
        assert [spread.min, spread.median, spread.max] == pytest.approx([100 * share, 200 * share, 400 * share])
    assert (starts.steady_after.n, starts.steady_after.median) == (4, 2)


@pytest.mark.parametrize(("n", "certified"), [(5, False), (10, False), (11, True)])
def test_a_median_is_certified_from_eleven_independent_starts_on(n: int, certified: bool) -> None:
    """0.5 ** 11 * 12 < 0.01: the least n at which one sample beyond it is enough."""
    order = [1, 9, 3, 11, 5, 2, 8, 4, 10, 6, 7]
    found = analyze_cold_starts([repeat(100.0 + i) for i in order[:n]], "warm").cold_starts.phases["ready_ms"].p50
    assert found.certified is certified
    assert (found.ms is None) is not certified


def test_the_typical_start_is_one_that_was() -> None:
    """Its phases belong together."""
    assert typical([repeat(300), repeat(100), repeat(200)]) == repeat(200).phases


def test_what_only_a_load_has_is_absent_with_the_reason() -> None:
    """Never zero: a throughput of nothing would be a lie."""
    found = analyze_cold_starts([repeat(100)], "warm")
    assert (found.load, found.throughput_rps, found.error_rate, found.goodput) == (None, None, None, None)
    assert {one.reason for one in found.response_latency.percentiles.values()} == {NO_LOAD}
    assert all(stage.mean_ms is None for stage in found.stages.values())
    assert any(NO_LOAD in note for note in found.notes)


def test_a_phase_that_a_platform_does_not_tell_is_not_summarised() -> None:
    """An absent phase is none, not zero."""
    silent = repeat(100).model_copy(update={"phases": repeat(100).phases.model_copy(update={"model_loaded_ms": None})})
    found = analyze_cold_starts([silent, repeat(200)], "warm").cold_starts.phases["model_loaded_ms"]
    assert found.spread_ms.n == 1
    assert found.spread_ms.min == pytest.approx(160)


def test_what_speaks_against_the_starts_is_said() -> None:
    """A cache that was not dropped, a first start unlike the others, latency that was never steady, a busy host."""
    assert reasons(repeat(100), repeat(110)) == ""
    assert "not cold" in reasons(repeat(100, cached=0.9), cache="cold")
    assert reasons(repeat(100, cached=0.0), cache="cold") == ""
    assert "the first start took 2.0 times" in reasons(repeat(200), repeat(100), repeat(100))
    assert "never steady in 1 of 2" in reasons(repeat(100), repeat(100, steady_after=None))
    limits = HostLimits(mark_above=0.1, invalid_above=0.5)
    assert "host busy" in reasons(repeat(100), busy_before=0.3, limits=limits)
    assert reasons(repeat(100), busy_before=0.05, limits=limits) == ""
