"""What a plan holds, checked against arithmetic done by hand."""

import hashlib
import time

import numpy as np
import pytest
from pydantic import TypeAdapter
from support.workloads import EVERY_PATTERN, workload

from shared.errors import InvalidInput
from shared.jobs.workload import WorkloadSpec
from shared.workload import draws
from shared.workload.arrivals import PATTERNS, make_plan
from shared.workload.plan import Plan

TRACE_NS = np.arange(200, dtype=np.int64) * 70_000_000


def plan_of(pattern: str, **changes: object) -> Plan:
    """The plan of one pattern's example over 16 payloads."""
    spec = workload(pattern=pattern, **{**EVERY_PATTERN[pattern], **changes})
    return make_plan(spec, 16, TRACE_NS if pattern == "trace" else None)


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
    ("pattern", "sha256"),
    [
        ("closed", "1ebe700d4046123a71ac023a488fe45b34c30acaf89b0a177229cbaecaf2c70a"),
        ("constant", "f3ac261160817038bc404d8c580685fbbca16581077d3cb5521e908c0baf2e93"),
        ("poisson", "f65e4525afe2b4ee04906a145925dd341d54a17a91a55e19956ecea8974ed0f8"),
        ("gamma", "0186fdc0d778ef7141e6ff429637a8fa4331c55966c65974b3f508b0678a86a8"),
        ("mmpp", "2d48145d7257f6a08cbeb24dc9cfbcdc20ddaf1514e05e785f5619d4c96de500"),
        ("ramp", "2f6caf8f4c866fd45a91fc6e06f1c207b958dfe3aace050942603d7940f9e56c"),
        ("step", "586310340f90eeb1e1dbd914ca183717da1d2b5784a048b7376c5ca4157a0214"),
        ("spike", "c261d390d7ee37507127d552f0ddc230062a84a7f0cff49285105c302bbb2a08"),
        ("sine", "71550f46d482c1100eb4d32be1667101e3933fc1b79ecfa510a8e11f94955b46"),
        ("trace", "2154c9d52b5c9cb90b0eb9a8c8578b0934a8239a042347d469702be2eefbb647"),
        ("offline", "266d08c80f93f543c2fae1efc34404f955165273ecf6e443aa83d2e09e7e893f"),
        ("mlperf", "6972bab9da6da26a596452967a9d59c43b0220db1c71255d1e9663c3b3e1dd87"),
    ],
)
def test_a_seed_keeps_its_digest(pattern: str, sha256: str) -> None:
    """Pinned: if this fails, records made with older plans can no longer be repeated."""
    assert plan_of(pattern, seed=42).sha256 == sha256


@pytest.mark.parametrize(
    ("pattern", "sha256"),
    [
        ("constant", "885fdd383b02116645037337bf773938a2fe93e4ec67f266fd0f9913947ca36a"),
        ("poisson", "e3a425e6eec5ec042160677e6f40352fa2b55724678c8b585e47840d46906cf0"),
    ],
)
def test_the_first_patterns_keep_their_due_times(pattern: str, sha256: str) -> None:
    """Pinned before the other patterns came: their due times and payloads have not moved by a nanosecond."""
    plan = plan_of(pattern, seed=42)
    assert hashlib.sha256(plan.due_ns.tobytes() + plan.payload.tobytes()).hexdigest() == sha256


@pytest.mark.parametrize("fields", [{"pattern": "poisson", "rate": 50}, {"pattern": "closed", "concurrency": 2}])
def test_another_seed_gives_another_plan(fields: dict[str, object]) -> None:
    """The seed decides arrivals and payload order."""
    digests = {make_plan(workload(seed=seed, **fields), payload_count=16).sha256 for seed in range(5)}
    assert len(digests) == 5


@pytest.mark.parametrize("pattern", ["constant", "poisson", "gamma", "mmpp", "spike", "sine", "trace"])
def test_a_longer_plan_begins_like_the_shorter_one(pattern: str) -> None:
    """Duration does not disturb what came before: the first 5 s are the same arrivals and payloads."""
    short, long = plan_of(pattern), plan_of(pattern, duration="60s")
    n = len(short.due_ns)
    assert n > 50
    assert long.due_ns[:n].tolist() == short.due_ns.tolist()
    assert long.payload[:n].tolist() == short.payload.tolist()


@pytest.mark.parametrize("pattern", ["poisson", "gamma", "mmpp", "ramp", "sine"])
def test_a_plan_does_not_depend_on_how_its_draws_are_cut(pattern: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory decides how much is drawn at once; the plan is the same with 7 at a time."""
    whole = plan_of(pattern)
    monkeypatch.setattr(draws, "_MOST_AT_ONCE", 7)
    assert plan_of(pattern).sha256 == whole.sha256


def test_the_largest_plan_is_drawn_in_seconds() -> None:
    """Ten million Poisson arrivals; about one second here, and a limit that only a changed method would miss."""
    started_ns = time.perf_counter_ns()
    plan = make_plan(workload(pattern="poisson", rate=1e6, warmup="0s", duration="10s"), 16)
    assert time.perf_counter_ns() - started_ns < 30 * 10**9
    assert len(plan.due_ns) == pytest.approx(10**7, abs=16_000)  # five standard deviations


def test_a_rate_near_zero_overflows_nothing() -> None:
    """The smallest number that a computer has plans at most the request at the start."""
    for pattern, keys in {"constant": {}, "poisson": {}, "gamma": {"cv": 20}}.items():
        plan = make_plan(workload(pattern=pattern, rate=5e-324, duration="24h", **keys), 1)
        assert plan.due_ns.tolist() in ([], [0])


def test_no_payload_is_refused() -> None:
    """A plan over an empty dataset has nothing to send."""
    with pytest.raises(InvalidInput, match="at least 1 payload"):
        make_plan(workload(pattern="constant", rate=1), payload_count=0)


def test_every_pattern_of_the_job_file_has_an_entry() -> None:
    """The table and the schema name the same patterns, but for a row of runs, and for one without arrivals."""
    schema = TypeAdapter(WorkloadSpec).json_schema()
    assert set(schema["discriminator"]["mapping"]) - {"search", "cold-start"} == set(PATTERNS) == set(EVERY_PATTERN)
