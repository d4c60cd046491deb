"""From a raw file to its plan, and to what a comparison reads: the same requests that the record's figures are over."""

import numpy as np
import pytest
from support.raw_files import PAYLOADS, POISSON, columns_at, raw_samples, record_of, spec_of
from support.samples import ORIGIN_NS

from shared.errors import InvalidInput
from shared.measure.compared_run import run_data
from shared.measure.latency import FOR_EVER_NS
from shared.measure.plan_again import manifest_of, plan_again, run_spec_of
from shared.measure.samples_file import Samples
from shared.measure.sampling_error import percentile_estimate
from shared.workload.arrivals import make_plan


@pytest.mark.parametrize("q", [("p50", 0.5), ("p90", 0.9), ("p99", 0.99)])
def test_the_percentiles_are_the_records(q: tuple[str, float]) -> None:
    """A comparison speaks of the very numbers that the record shows."""
    samples = raw_samples(seed=4)
    estimate = percentile_estimate(run_data(samples).response_ns, q[1])
    assert (estimate.value or 0) / 1e6 == record_of(samples).response_latency.ms(q[0])


def test_what_is_left_out_as_warm_up_is_left_out_here() -> None:
    """Latencies that start five times too high are cut off by the analysis, and so by the comparison."""
    samples = raw_samples()
    columns = samples.columns
    slow = columns["due_ns"] < ORIGIN_NS + 2_000_000_000  # a second into the window
    for name in ("last_byte_ns", "done_ns"):
        columns[name] = np.where(slow, columns["due_ns"] + 5 * (columns[name] - columns["due_ns"]), columns[name])
    data, found = run_data(samples), record_of(samples)
    assert found.warmup_s > 1.5
    assert len(data.response_ns) == found.response_latency.n
    assert data.part_s * len(data.completed) == pytest.approx(11.0 - found.warmup_s)


def test_failures_are_there_as_requests_that_took_for_ever() -> None:
    """All requests of the window are, in the order of their due times."""
    samples = raw_samples(failed=5)
    data = run_data(samples)
    assert np.count_nonzero(data.response_ns == FOR_EVER_NS) == 5
    assert np.all(data.response_ns[-5:] == FOR_EVER_NS)


def test_completions_add_up_to_the_throughput() -> None:
    """Counted where they happened, over the parts of the window."""
    samples = raw_samples()
    data = run_data(samples)
    assert data.completed.sum() / (data.part_s * len(data.completed)) == pytest.approx(
        record_of(samples).throughput_rps
    )


def test_the_order_of_the_rows_does_not_matter() -> None:
    """Shards are merged in any order."""
    samples = raw_samples()
    order = np.random.default_rng(1).permutation(len(samples.columns["due_ns"]))
    mixed = Samples({name: column[order] for name, column in samples.columns.items()}, samples.manifest)
    assert np.array_equal(run_data(mixed).response_ns, run_data(samples).response_ns)


def test_the_plan_is_the_one_that_was_made() -> None:
    """Digest, due times and payloads, from the manifest alone."""
    samples = raw_samples(seed=9)
    plan = plan_again(samples)
    assert np.array_equal(plan.due_ns, samples.columns["due_ns"] - ORIGIN_NS)
    assert np.array_equal(plan.payload, samples.columns["payload"])
    assert plan.sha256 == manifest_of(samples).plan_sha256
    assert run_spec_of(manifest_of(samples)).workload.pattern == POISSON["pattern"]


def test_a_closed_loop_has_a_plan_again() -> None:
    """Although its due times are not in it."""
    workload = {"pattern": "closed", "concurrency": 3, "warmup": "0s", "duration": "1s"}
    samples = raw_samples(workload)
    due_ns = ORIGIN_NS + np.arange(0, 1_000_000_000, 10_000_000)
    closed = Samples(columns_at(due_ns, np.full(len(due_ns), 9_000_000)), samples.manifest)
    assert plan_again(closed).concurrency == 3
    assert len(run_data(closed).response_ns) > 50


def test_a_shifted_trace_is_noticed() -> None:
    """Due times that were changed in the file do not give the digest of the plan."""
    workload = {"pattern": "trace", "trace": "mondays", "warmup": "0s", "duration": "5s"}
    trace_ns = np.arange(0, 5_000_000_000, 10_000_000)
    plan = make_plan(spec_of(workload).workload, PAYLOADS, trace_ns)
    samples = raw_samples(workload, plan=plan)
    assert np.array_equal(plan_again(samples).due_ns, trace_ns)
    samples.columns["due_ns"][7] += 1
    with pytest.raises(InvalidInput, match="comes out with digest"):
        run_data(samples)


def test_without_a_manifest_there_is_no_run() -> None:
    """The columns alone do not say when the window was."""
    with pytest.raises(InvalidInput, match="no manifest"):
        run_data(Samples(raw_samples().columns, None))
