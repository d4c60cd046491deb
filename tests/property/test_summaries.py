"""What must hold of every summary, whatever the samples."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.samples import Sent, columns_of

from shared.measure.latency import percentile_ms, rank, response_ns, summarize
from shared.measure.stages import stage_times

durations = st.lists(st.integers(0, 10**12), min_size=1, max_size=200)
moments = st.floats(0, 1000)


@given(durations, st.integers(1, 1000))
def test_a_percentile_is_the_smallest_sample_that_covers_its_share(values: list[int], per_mille: int) -> None:
    """At least the share lies at or below it, and less than the share lies below it."""
    found = percentile_ms(np.sort(np.array(values)), per_mille / 1000)
    assert found is not None
    at_or_below = sum(value / 1e6 <= found for value in values)
    below = sum(value / 1e6 < found for value in values)
    assert at_or_below * 1000 >= per_mille * len(values)
    assert below * 1000 < per_mille * len(values)


@given(st.integers(1, 10**7), st.integers(1, 1000))
def test_rank_is_exact(n: int, per_mille: int) -> None:
    """Equal to the ceiling in exact arithmetic, which floating point misses for some n."""
    assert rank(n, per_mille / 1000) == math.ceil(n * per_mille / 1000 - 1e-9)


@given(durations)
def test_summaries_are_ordered(values: list[int]) -> None:
    """From the least to the largest, the certified percentiles ascend, and the mean lies between the ends."""
    summary = summarize(np.array(values))
    certified = [found.ms for found in summary.percentiles.values() if found.ms is not None]
    chain = [summary.min_ms, *certified, summary.max_ms]
    assert chain == sorted(chain, key=lambda value: value or 0.0)
    assert summary.min_ms is not None
    assert summary.max_ms is not None
    assert summary.mean_ms is not None
    assert summary.min_ms * (1 - 1e-9) <= summary.mean_ms <= summary.max_ms * (1 + 1e-9)


@given(durations)
def test_the_order_of_samples_does_not_matter(values: list[int]) -> None:
    """Backwards they are as alike as forwards."""
    one, other = summarize(np.array(values)), summarize(np.array(values[::-1]))
    assert one.model_dump(exclude={"n_effective"}) == other.model_dump(exclude={"n_effective"})
    assert one.n_effective == pytest.approx(other.n_effective)


@given(durations)
def test_a_percentile_lies_in_its_interval(values: list[int]) -> None:
    """Wherever both are known."""
    for found in summarize(np.array(values)).percentiles.values():
        if found.ms is not None and found.low_ms is not None:
            assert found.low_ms <= found.ms
        if found.ms is not None and found.high_ms is not None:
            assert found.ms <= found.high_ms


@given(durations, st.integers(0, 300))
def test_more_failures_never_make_a_run_look_faster(values: list[int], failures: int) -> None:
    """A percentile with failures is not below the one without, and not finite once failures reach it."""
    ascending = np.sort(np.array(values))
    without = percentile_ms(ascending, 0.9)
    with_failures = percentile_ms(ascending, 0.9, failures=failures)
    assert without is not None
    if failures * 10 > len(values) + failures:
        assert with_failures is None
    else:
        assert with_failures is not None
        assert with_failures >= without


@given(st.lists(st.tuples(moments, moments, moments, moments, moments, st.booleans()), min_size=1, max_size=30))
def test_stages_always_sum_to_the_response(rows: list[tuple[float, float, float, float, float, bool]]) -> None:
    """For every request, to the nanosecond."""
    requests = []
    for due, late, pre, away, post, reported in rows:
        send = due + late + pre
        share = away / 3 if reported else None
        requests.append(
            Sent(
                due=due, start=due + late, send=send, last=send + away, done=send + away + post,
                queue=share, inference=share,
            )
        )  # fmt: skip
    columns = columns_of(*requests)
    total = np.sum(list(stage_times(columns).durations_ns.values()), axis=0)
    assert (total == response_ns(columns)).all()
