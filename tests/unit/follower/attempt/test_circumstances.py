"""What goes into the raw file's manifest, and what the follower's settings make of the host's limits."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.assignments import assignment, inventory, run_spec, slot
from support.load_requests import load_request

from follower.attempt.calibration import Calibrated
from follower.attempt.circumstances import circumstances_of, limits_of, manifest_of
from follower.attempt.measure import Readings
from follower.attempt.order import AttemptOrder
from follower.load.protocol import LoadOutcome
from shared.jobs.spec import RunSpec
from shared.measure.columns import COLUMNS
from shared.measure.manifest import HostLimits, ProcessReading
from shared.measure.samples_file import read_samples, write_samples


def order(tmp_path: Path, **changed: Any) -> AttemptOrder:
    """An order of a follower that marks busy runs."""
    spec = run_spec(requests={"distinct": 3, "batch_size": 4}, slo={"p99_ms": 50})
    fields: dict[str, Any] = {
        "follower": "f", "incarnation": "i", "slot": slot(), "inventory": inventory(),
        "assignment": assignment(spec=spec, attempt=2), "leader_url": "http://127.0.0.1:9",
        "token_file": tmp_path / "token", "cache_dir": tmp_path, "max_cache_bytes": 1,
        "preflight": "mark", "max_busy_share": 0.3, "invalid_busy_share": 0.7,
    }  # fmt: skip
    return AttemptOrder(**{**fields, **changed})


def outcome() -> LoadOutcome:
    """Two workers, one row."""
    columns = {name: np.zeros(1, dtype=kind) for name, kind in COLUMNS.items()}
    return LoadOutcome(
        origin_ns=7, end_ns=9, columns=columns, max_in_flight=5, mean_in_flight=1.5, answers=(), pids=(1, 2), workers=2
    )


READINGS = Readings(server=[ProcessReading(at_ns=1, cpu_ns=2, rss_bytes=3)], unavailable={"devices": "none"}, cpu_ns=12)


def test_the_manifest_holds_all_that_the_analysis_reads(tmp_path: Path) -> None:
    """And comes back from the raw file as it was."""
    ordered, request = order(tmp_path), load_request(tmp_path)
    facts = circumstances_of(ordered, outcome(), READINGS, Calibrated(None, "no port"), host_cores=3, busy_before=0.125)
    manifest = manifest_of(ordered, request, facts)
    write_samples(outcome().columns, manifest, tmp_path / "samples.parquet")
    assert read_samples(tmp_path / "samples.parquet").manifest == manifest
    assert (manifest.attempt, manifest.payload_count) == (2, 3)
    assert manifest.plan_sha256 == request.plan.sha256
    assert RunSpec.model_validate(manifest.spec) == ordered.assignment.spec
    assert (facts.origin_ns, facts.max_in_flight, facts.mean_in_flight) == (7, 5, 1.5)
    assert (facts.batch_size, facts.workers, facts.client_cores, facts.host_cores) == (4, 2, 2, 3)
    assert facts.slo == ordered.assignment.spec.slo
    assert facts.server == tuple(READINGS.server)
    assert (facts.busy_before, facts.collector_cpu_ns) == (0.125, 12)


def test_a_missing_calibration_is_named_beside_what_else_is_missing(tmp_path: Path) -> None:
    """Where it was made, there is nothing to say."""
    without = circumstances_of(
        order(tmp_path), outcome(), READINGS, Calibrated(None, "no port"), host_cores=1, busy_before=None
    )
    assert without.unavailable == {"devices": "none", "calibration": "no port"}
    assert without.calibration is None


@pytest.mark.parametrize("preflight", ["mark", "refuse"])
def test_limits_are_the_followers_settings(tmp_path: Path, preflight: str) -> None:
    """Those of steal and throttling are the contract's own."""
    assert limits_of(order(tmp_path, preflight=preflight)) == HostLimits(mark_above=0.3, invalid_above=0.7)


def test_a_follower_that_does_not_look_does_not_judge(tmp_path: Path) -> None:
    """The shares are measured all the same."""
    assert limits_of(order(tmp_path, preflight="off")) is None
