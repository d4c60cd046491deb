"""The record derived again from the raw file: equal to the last bit, and any change is found where it was made."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.raw_files import PAYLOADS, POISSON, raw_samples, record_of, spec_of
from support.records import NOON

from shared.errors import InvalidInput
from shared.measure.manifest import Calibration
from shared.measure.recompute import ABSENT, Mismatch, derive_again, figure_count
from shared.measure.record import Record
from shared.measure.samples_file import Samples, read_samples, write_samples
from shared.workload.arrivals import make_plan

CALIBRATION = Calibration(
    protocol="http", request_bytes=900, response_bytes=300, connections=8, workers=1, ceiling_rps=12_345.678,
    added_p50_us=31.1, added_p99_us=88.8, lateness_p50_us=9.9, lateness_p99_us=77.7, measured_at=NOON,
)  # fmt: skip


def stored(samples: Samples, folder: Path) -> Samples:
    """Through the file and back."""
    write_samples(samples.columns, samples.manifest, folder / "raw.parquet")
    return read_samples(folder / "raw.parquet")


@pytest.mark.parametrize(
    "workload",
    [
        POISSON,
        {"pattern": "constant", "rate": 333.3, "warmup": "100ms", "duration": "7s"},
        {"pattern": "gamma", "rate": 200, "cv": 2.5, "warmup": "1s", "duration": "5s"},
        {"pattern": "sine", "rate": 200, "amplitude": 0.5, "period": "2s", "warmup": "0s", "duration": "6s"},
        {"pattern": "offline", "requests": 500, "warmup": "0s", "duration": "5s"},
    ],
    ids=lambda workload: str(workload["pattern"]),
)
def test_every_figure_comes_out_equal(workload: dict[str, Any], tmp_path: Path) -> None:
    """After file and JSON, nothing differs, whatever the load was."""
    samples = raw_samples(workload, seed=3, failed=2, calibration=CALIBRATION, mean_in_flight=2.25)
    found = record_of(samples)
    assert derive_again(stored(samples, tmp_path), found) == []
    assert figure_count(found) > 150


def test_rows_in_any_order_give_the_same_figures(tmp_path: Path) -> None:
    """Shards are merged in any order."""
    samples = raw_samples()
    found = record_of(samples)
    shuffled = np.random.default_rng(5).permutation(len(samples.columns["due_ns"]))
    mixed = Samples({name: column[shuffled] for name, column in samples.columns.items()}, samples.manifest)
    assert derive_again(stored(mixed, tmp_path), found) == []


def test_a_trace_is_planned_again_from_the_due_times(tmp_path: Path) -> None:
    """The trace itself is not in the file, and is not needed; neither is its speed."""
    workload = {"pattern": "trace", "trace": "mondays", "speed": 3.0, "warmup": "1s", "duration": "9s"}
    trace_ns = np.sort(np.random.default_rng(2).integers(0, 30_000_000_000, 2_000))
    plan = make_plan(spec_of(workload).workload, PAYLOADS, trace_ns - trace_ns[0])
    samples = raw_samples(workload, plan=plan)
    assert derive_again(stored(samples, tmp_path), record_of(samples, plan)) == []


def changed(found: Record, **changes: Any) -> Record:
    """The record with parts replaced."""
    return found.model_copy(update=changes)


def test_a_changed_figure_is_named_with_both_values() -> None:
    """A record that claims a better mean is caught, at that figure and at the metric made of it."""
    samples = raw_samples()
    found = record_of(samples)
    mean_ms = found.response_latency.mean_ms
    claimed = found.response_latency.model_copy(update={"mean_ms": 1.0})
    assert derive_again(samples, changed(found, response_latency=claimed)) == [
        Mismatch("response_latency.mean_ms", 1.0, mean_ms)
    ]


def test_the_last_bit_counts() -> None:
    """Equal means equal."""
    samples = raw_samples()
    found = record_of(samples)
    rate = found.throughput_rps
    assert rate is not None
    nearly = float(np.nextafter(rate, np.inf))
    assert [m.figure for m in derive_again(samples, changed(found, throughput_rps=nearly))] == ["throughput_rps"]


def test_a_changed_sample_is_found() -> None:
    """One latency of two thousand, made ten times as long, shows."""
    samples = raw_samples()
    found = record_of(samples)
    samples.columns["done_ns"][900] += 90_000_000
    assert "response_latency.mean_ms" in {mismatch.figure for mismatch in derive_again(samples, found)}


def test_another_verdict_is_found() -> None:
    """The verdict and its reasons are figures, too; a figure that one side lacks is absent."""
    samples = raw_samples()
    found = record_of(samples)
    better = found.verdict.model_copy(update={"kind": "invalid", "reasons": ("made up",)})
    differing = {m.figure: m for m in derive_again(samples, changed(found, verdict=better))}
    assert differing["verdict.kind"] == Mismatch("verdict.kind", "invalid", "stable")
    assert differing["verdict.reasons.0"] == Mismatch("verdict.reasons.0", "made up", ABSENT)


def test_another_runs_file_is_found() -> None:
    """The run, its attempt and its spec are compared as well."""
    found = record_of(raw_samples())
    other = raw_samples(run_id="j-01jd3z8k5q2w9x7v6t4r3s2a1b.0001")
    assert "run_id" in {mismatch.figure for mismatch in derive_again(other, found)}


def test_what_the_attempt_said_is_not_the_analysis_to_check() -> None:
    """Notes of the attempt and the cold start cannot be derived from samples; they are left alone."""
    samples = raw_samples()
    found = record_of(samples, cold_start=record_of(samples).cold_start.model_copy(update={"ready_ms": 77.0}))
    assert derive_again(samples, found) == []


def test_without_a_manifest_nothing_can_be_derived() -> None:
    """A run that was cut short has none."""
    samples = raw_samples()
    with pytest.raises(InvalidInput, match="no manifest"):
        derive_again(Samples(samples.columns, None), record_of(samples))


def test_a_plan_with_another_digest_is_refused() -> None:
    """Then the figures would be of another load."""
    samples = raw_samples()
    assert samples.manifest is not None
    forged = samples.manifest.model_copy(update={"plan_sha256": "0" * 64})
    with pytest.raises(InvalidInput, match=f"comes out with digest {samples.manifest.plan_sha256}, and was 0000"):
        derive_again(Samples(samples.columns, forged), record_of(samples))


def test_a_manifest_of_no_valid_run_is_refused() -> None:
    """It says what is wrong with it."""
    samples = raw_samples()
    assert samples.manifest is not None
    spec = {**samples.manifest.spec, "workload": {"pattern": "poisson"}}
    with pytest.raises(InvalidInput, match=r"holds no valid run: workload.poisson.rate: Field required"):
        derive_again(Samples(samples.columns, samples.manifest.model_copy(update={"spec": spec})), record_of(samples))
