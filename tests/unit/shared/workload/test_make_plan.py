"""What a plan holds, checked against arithmetic done by hand."""

import numpy as np
import pytest
from pydantic import TypeAdapter

from shared.errors import InvalidInput
from shared.jobs.workload import WorkloadSpec
from shared.workload.arrivals import PATTERNS, make_plan

_SPEC: TypeAdapter[WorkloadSpec] = TypeAdapter(WorkloadSpec)


def workload(**fields: object) -> WorkloadSpec:
    """A workload as a job file would give it."""
    return _SPEC.validate_python({"warmup": "1s", "duration": "4s", **fields})


def test_constant_plan_has_equal_gaps_from_zero_to_the_end() -> None:
    """A rate of 4/s over 5 s is due at 0, 0.25, ... 4.75 s."""
    plan = make_plan(workload(pattern="constant", rate=4), payload_count=3)
    assert plan.due_ns.tolist() == [i * 250_000_000 for i in range(20)]
    assert plan.rate_rps == 4
    assert plan.concurrency is None


def test_constant_plan_does_not_drift_when_the_gap_is_not_a_whole_number_of_nanoseconds() -> None:
    """Request i stays within half a nanosecond of i / rate, however far out it is."""
    plan = make_plan(workload(pattern="constant", rate=3, duration="3000s"), payload_count=1)
    assert plan.due_ns[9000] == 3000 * 10**9
    assert len(plan.due_ns) == 3 * 3001


def test_poisson_plan_stays_inside_warmup_and_window_in_ascending_order() -> None:
    """Due times are non-negative, ascending and before the end, over the whole span."""
    plan = make_plan(workload(pattern="poisson", rate=2000), payload_count=1)
    assert plan.due_ns[0] >= 0
    assert plan.due_ns[-1] < plan.end_ns
    assert (np.diff(plan.due_ns) >= 0).all()
    assert len(plan.due_ns) == pytest.approx(10_000, abs=500)  # five standard deviations


def test_low_rate_may_plan_nothing() -> None:
    """A Poisson rate of one in a million seconds gives an empty plan rather than an invented request."""
    plan = make_plan(workload(pattern="poisson", rate=1e-6), payload_count=1)
    assert len(plan.due_ns) == 0
    assert len(plan.payload) == 0


def test_closed_plan_has_no_due_times_but_whole_rounds_of_payloads() -> None:
    """A closed loop repeats its payload order, so the order must hold every payload equally often."""
    plan = make_plan(workload(pattern="closed", concurrency=7), payload_count=13)
    assert len(plan.due_ns) == 0
    assert plan.concurrency == 7
    assert plan.rate_rps is None
    assert set(np.bincount(plan.payload, minlength=13).tolist()) == {len(plan.payload) // 13}


def test_every_round_holds_every_payload_once_in_an_order_of_its_own() -> None:
    """Rotation by shuffled rounds: equal shares, and no fixed cycle that a cache could learn."""
    plan = make_plan(workload(pattern="constant", rate=100), payload_count=10)
    rounds = plan.payload.reshape(50, 10)
    assert (np.sort(rounds, axis=1) == np.arange(10)).all()
    assert len({tuple(r) for r in rounds.tolist()}) > 40


def test_last_round_may_be_cut() -> None:
    """Shares differ by at most one where the plan is not a whole number of rounds."""
    plan = make_plan(workload(pattern="constant", rate=5), payload_count=7)  # 25 requests
    counts = np.bincount(plan.payload, minlength=7)
    assert counts.sum() == 25
    assert counts.max() - counts.min() == 1


@pytest.mark.parametrize(
    ("fields", "sha256"),
    [
        ({"pattern": "constant", "rate": 50}, "45c151e2132680cbe11ea72b3d23e31216d121ac108dd3cd3b778687d0a4e2dd"),
        ({"pattern": "poisson", "rate": 50}, "98e842df1b7242ee71e1425a447b3cb3954256c16b2264738679f0f87beea6ec"),
        ({"pattern": "closed", "concurrency": 2}, "d635e94f2a93e0094244356a9fb08d51a0e8e52a4ffd32e3f4403e0925a9aa53"),
    ],
)
def test_a_seed_keeps_its_digest(fields: dict[str, object], sha256: str) -> None:
    """Pinned: if this fails, records made with older plans can no longer be repeated."""
    assert make_plan(workload(seed=42, **fields), payload_count=16).sha256 == sha256


@pytest.mark.parametrize("fields", [{"pattern": "poisson", "rate": 50}, {"pattern": "closed", "concurrency": 2}])
def test_another_seed_gives_another_plan(fields: dict[str, object]) -> None:
    """The seed decides arrivals and payload order."""
    digests = {make_plan(workload(seed=seed, **fields), payload_count=16).sha256 for seed in range(5)}
    assert len(digests) == 5


def test_a_longer_plan_begins_like_the_shorter_one() -> None:
    """Duration does not disturb what came before: the first 5 s are the same arrivals and payloads."""
    short = make_plan(workload(pattern="poisson", rate=100), payload_count=8)
    long = make_plan(workload(pattern="poisson", rate=100, duration="60s"), payload_count=8)
    n = len(short.due_ns)
    assert long.due_ns[:n].tolist() == short.due_ns.tolist()
    assert long.payload[:n].tolist() == short.payload.tolist()


def test_no_payload_is_refused() -> None:
    """A plan over an empty dataset has nothing to send."""
    with pytest.raises(InvalidInput, match="at least 1 payload"):
        make_plan(workload(pattern="constant", rate=1), payload_count=0)


def test_every_pattern_of_the_job_file_has_an_entry() -> None:
    """The table and the schema name the same patterns."""
    schema = _SPEC.json_schema()
    assert set(schema["discriminator"]["mapping"]) == set(PATTERNS)
