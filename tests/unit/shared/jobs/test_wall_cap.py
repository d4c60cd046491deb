"""The cap on an attempt's time: the sum that the docs give, whoever asks."""

import pytest
from support.assignments import assignment, run_spec

from follower.attempt import budget
from shared.jobs.wall_cap import wall_cap_ns
from shared.wire.assignment import BlobPin

S = 1_000_000_000
SPEC = run_spec(
    service={"ready_timeout": "30s"},
    workload={"pattern": "closed", "warmup": "5s", "duration": "100s", "request_timeout": "2s"},
)


@pytest.mark.parametrize(("transfer_bytes", "transfer_s"), [(0, 0), (999_999, 0.999999), (500_000_000, 500)])
def test_the_cap_is_what_the_job_file_says_and_a_megabyte_a_second(transfer_bytes: int, transfer_s: float) -> None:
    """Readiness, warm-up, window, two request timeouts, 20 s of calibration, 60 s for the rest, and the transfer."""
    assert wall_cap_ns(SPEC, transfer_bytes) == pytest.approx((30 + 5 + 100 + 2 * 2 + 20 + 60 + transfer_s) * S)


def test_a_network_link_may_take_its_time_to_be_measured() -> None:
    """Two and a half minutes more."""
    over_lte = SPEC.model_copy(update={"network": "lte"})
    assert wall_cap_ns(over_lte, 0) - wall_cap_ns(SPEC, 0) == 150 * S


def test_a_follower_counts_everything_that_it_may_have_to_fetch() -> None:
    """Model, dataset and trace; here two of them."""
    pin = BlobPin(name="x", version=1, sha256="0" * 64, size_bytes=7_000_000)
    given = assignment(spec=SPEC).model_copy(update={"dataset": pin, "trace": pin})
    assert budget.wall_cap_ns(given) == wall_cap_ns(SPEC, 14_000_000)
