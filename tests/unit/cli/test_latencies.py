"""Latencies in words, for summaries made by hand."""

from support.records import latency, percentile

from cli.latencies import latency_picture, response_lines, service_line
from shared.measure.record import PERCENTILES, LatencySummary, Percentile

COLUMNS = 88


def uncertified(reason: str) -> Percentile:
    """A percentile that is not claimed."""
    return Percentile(ms=None, low_ms=None, high_ms=None, certified=False, reason=reason)


def with_percentiles(n_effective: float, **changes: Percentile) -> LatencySummary:
    """A summary with some percentiles replaced; ``p999`` stands for p99.9."""
    named = {name.replace("p999", "p99.9"): found for name, found in changes.items()}
    base = latency(n=600)
    return base.model_copy(update={"n_effective": n_effective, "percentiles": {**base.percentiles, **named}})


def test_what_is_not_certified_says_what_it_lacks() -> None:
    """All of them in one phrase, each with the number of samples that it needs."""
    few = with_percentiles(118.4, p99=uncertified("a"), p999=uncertified("b"))
    lines = response_lines(few, COLUMNS)
    assert lines[0].startswith("p50 14.0 (13.3-14.7)  p90")
    assert lines[1].startswith("p99/p99.9 not certified (n_eff 118 of 662/6636)")
    assert max(map(len, lines)) <= COLUMNS


def test_without_any_certified_percentile_none_is_claimed() -> None:
    """Nine samples certify nothing; the mean and the largest are still facts."""
    nothing = with_percentiles(
        9.0, **{name.replace(".", ""): uncertified(f"not certified: {name}") for name in PERCENTILES}
    )
    lines = response_lines(nothing, COLUMNS)
    assert lines[0] == "p50/p90/p95/p99/p99.9 not certified (n_eff 9 of 11/64/130/662/6636)  mean 15.0  max 43.4"
    assert service_line(nothing).startswith("no percentile certified  mean 15.0")


def test_an_overloaded_run_gives_its_one_reason() -> None:
    """There is no steady latency of which a percentile could be told."""
    reason = "overloaded: no steady latency exists"
    none = with_percentiles(1.0, **{name.replace(".", ""): uncertified(reason) for name in PERCENTILES})
    assert response_lines(none, COLUMNS)[0].startswith("no percentile (overloaded: no steady latency exists)")


def test_an_interval_may_be_open() -> None:
    """Too few samples beyond a percentile leave its upper end open; that is an ellipsis, not a number."""
    open_above = with_percentiles(600.0, p999=Percentile(ms=42.0, low_ms=40.0, high_ms=None, certified=True))
    assert "p99.9 42.0 (40.0-…)" in " ".join(response_lines(open_above, COLUMNS))


def test_a_percentile_that_falls_on_a_failure_is_not_a_number() -> None:
    """It is certified, and infinite."""
    infinite = with_percentiles(600.0, p99=Percentile(ms=None, low_ms=30.0, high_ms=None, certified=True, reason="x"))
    assert "p99 n/a (30.0-…)" in " ".join(response_lines(infinite, COLUMNS))


def test_the_picture_shows_p90_and_falls_back_on_p50() -> None:
    """It draws the first of the two that both latencies have certified and in which they differ."""
    response, service = latency(20.0), latency(10.0)
    assert [text[:12] for text in latency_picture(response, service)] == ["response p90", "service  p90"]
    few = with_percentiles(20.0, p90=uncertified("x"))
    assert [text[:12] for text in latency_picture(few, latency(7.0))] == ["response p50", "service  p50"]


def test_nothing_is_drawn_of_what_is_alike_or_unknown() -> None:
    """Within a tenth, or without a certified percentile on either side."""
    assert not list(latency_picture(latency(10.9), latency(10.0)))
    assert not list(latency_picture(latency(None, n=0), latency(10.0)))


def test_values_are_packed_whole_into_three_lines() -> None:
    """Long numbers never break inside a phrase."""
    wide = latency(123456.0, n=1_000_000)
    lines = response_lines(wide, COLUMNS)
    assert len(lines) == 3
    assert all(f"p{name}" not in lines[0][-4:] for name in (50, 90, 95, 99))
    assert percentile(1.0).certified
