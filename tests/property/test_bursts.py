"""The two-state Markov-modulated Poisson process, as a law.

Truth: exponential stays; given the states, a Poisson process; and the index of dispersion for counts of a stationary
process, IDC(t) = 1 + A (1 - (1 - e^(-r t)) / (r t)) with r = 1/calm + 1/burst and
A = 2 (burst rate - calm rate)^2 share (1 - share) / (r mean rate): integrate the covariance of the rate twice.
"""

from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats  # type: ignore[import-untyped]
from support.laws import ALARM, SEEDS, Floats, mean_p, uniformity, unit_gap_p
from support.workloads import workload

from shared.errors import InvalidInput
from shared.jobs.workload import MmppWorkload
from shared.workload.arrivals import make_plan
from shared.workload.modulated import sojourns

RATE, RATIO, SHARE = 100.0, 9.0, 0.2
BURST_S, CALM_S = 0.1, 0.4
CALM_RPS = 100 / 2.6  # 0.8 c + 0.2 x 9 c = 100
BURST_RPS = 9 * CALM_RPS
SECONDS = 60


def spec_of(seed: int, seconds: int = SECONDS) -> MmppWorkload:
    """A fifth of the time is burst, in bursts of 100 ms, at nine times the rate."""
    found = workload(
        pattern="mmpp",
        rate=RATE,
        burst_ratio=RATIO,
        burst_share=SHARE,
        burst_length="100ms",
        warmup="0s",
        duration=f"{seconds}s",
        seed=seed,
    )
    assert isinstance(found, MmppWorkload)
    return found


def due_s(seed: int) -> Floats:
    """Due times in seconds of the plan under test."""
    return make_plan(spec_of(seed), 1).due_ns / 1e9


def stays(seed: int) -> tuple[Floats, Floats]:
    """Whole stays in seconds: bursts, calm ones. The last, which the end cuts, is left out."""
    starts_ns, bursts = sojourns(spec_of(seed), SECONDS * 10**9)
    lengths = np.diff(starts_ns) / 1e9
    return lengths[bursts[:-1]], lengths[~bursts[:-1]]


def dispersion(span_s: float) -> float:
    """IDC of the law, in closed form."""
    decay = 1 / BURST_S + 1 / CALM_S
    amount = 2 * (BURST_RPS - CALM_RPS) ** 2 * SHARE * (1 - SHARE) / (decay * RATE)
    return float(1 + amount * (1 - (1 - np.exp(-decay * span_s)) / (decay * span_s)))


def dispersion_p(draw: Callable[[int], Floats], span_s: float) -> float:
    """Is the mean square deviation of counts from their known mean, over many seeds, IDC(t) x mean?"""
    edges = np.arange(0.0, SECONDS + span_s / 2, span_s)
    counts = [np.histogram(draw(seed), edges)[0] for seed in SEEDS]
    return mean_p(np.array([((one - RATE * span_s) ** 2).mean() for one in counts]), dispersion(span_s) * RATE * span_s)


@pytest.mark.parametrize("span_s", [0.02, 0.1, 0.5, 2.0])
def test_counts_have_the_index_of_dispersion_of_the_law(span_s: float) -> None:
    """From spans shorter than a burst to spans of several."""
    assert dispersion_p(due_s, span_s) > ALARM


def test_the_mean_rate_is_the_rate() -> None:
    """Over the seeds; calm and burst rates follow from the ratio and the share."""
    assert mean_p(np.array([len(due_s(seed)) for seed in SEEDS], dtype=float), RATE * SECONDS) > ALARM


def test_stays_are_exponential() -> None:
    """Bursts of 100 ms and calm stays of 400 ms on average, without memory."""
    found = [stays(seed) for seed in SEEDS]
    assert (
        uniformity([float(stats.kstest(bursts, stats.expon(scale=BURST_S).cdf).pvalue) for bursts, _ in found]) > ALARM
    )
    assert uniformity([float(stats.kstest(calm, stats.expon(scale=CALM_S).cdf).pvalue) for _, calm in found]) > ALARM
    assert uniformity([float(stats.spearmanr(calm[:-1], calm[1:]).pvalue) for _, calm in found]) > ALARM


def test_within_the_states_arrivals_are_poisson() -> None:
    """Along the cumulative rate of the drawn states, gaps are exponential of mean 1."""

    def rescaled(seed: int) -> Floats:
        starts_ns, bursts = sojourns(spec_of(seed), SECONDS * 10**9)
        edges = np.append(starts_ns, SECONDS * 10**9) / 1e9
        held = np.cumsum(np.diff(edges) * np.where(bursts, BURST_RPS, CALM_RPS))
        return np.asarray(np.interp(due_s(seed), edges, np.concatenate([[0.0], held])))

    assert uniformity([unit_gap_p(rescaled(seed)) for seed in SEEDS]) > ALARM


def test_a_plan_starts_in_the_long_run_state() -> None:
    """A fifth of 2,000 plans begins inside a burst, and their first 50 ms have the mean rate."""
    plans = [(sojourns(spec_of(seed, 1), 10**9)[1][0], make_plan(spec_of(seed, 1), 1).due_ns) for seed in range(2000)]
    assert stats.binomtest(sum(bool(burst) for burst, _ in plans), 2000, SHARE).pvalue > ALARM
    assert mean_p(np.array([(due_ns < 50_000_000).sum() for _, due_ns in plans], dtype=float), RATE * 0.05) > ALARM


def modulated(seed: int, stay_s: Callable[[np.random.Generator, float], float], *, calm_first: bool = False) -> Floats:
    """A plan whose stays are drawn by ``stay_s``."""
    rng = np.random.default_rng(seed)
    at, burst, times = 0.0, not calm_first and rng.random() < SHARE, list[Floats]()
    while at < SECONDS:
        length = stay_s(rng, BURST_S if burst else CALM_S)
        count = rng.poisson((BURST_RPS if burst else CALM_RPS) * length)
        times.append(at + np.sort(rng.random(count)) * length)
        at, burst = at + length, not burst
    found = np.concatenate(times)
    return np.asarray(found[found < SECONDS])


def test_the_tests_see_flawed_plans() -> None:
    """Poisson of the same mean rate, bursts of one length, and bursts of twice the length."""
    flawed: list[Callable[[int], Floats]] = [
        lambda seed: np.sort(np.random.default_rng(seed).random(int(RATE * SECONDS)) * SECONDS),
        lambda seed: modulated(seed, lambda _rng, mean: mean),
        lambda seed: modulated(seed, lambda rng, mean: rng.exponential(2 * mean)),
    ]
    for draw in flawed:
        assert min(dispersion_p(draw, span_s) for span_s in (0.1, 0.5, 2.0)) < ALARM
    right = [modulated(seed, lambda rng, mean: rng.exponential(mean)) for seed in SEEDS]
    assert dispersion_p(lambda seed: right[seed], 0.5) > ALARM
    calm_first = np.array(
        [
            (modulated(seed, lambda rng, mean: rng.exponential(mean), calm_first=True) < 0.05).sum()
            for seed in range(400)
        ],
        dtype=float,
    )
    assert mean_p(calm_first, RATE * 0.05) < ALARM


def test_bursts_that_hold_too_many_requests_are_refused() -> None:
    """The rate on average can be planned, but this seed is in a burst, of five hundred times as many requests."""
    fields = {
        "rate": 1e6,
        "burst_ratio": 1000,
        "burst_share": 0.001,
        "burst_length": "1h",
        "warmup": "0s",
        "duration": "9s",
    }
    starting = [
        seed
        for seed in range(3000)
        if sojourns(workload(pattern="mmpp", seed=seed, **fields), 9 * 10**9)[1][0]  # type: ignore[arg-type]
    ]
    assert starting
    with pytest.raises(InvalidInput, match="take shorter bursts or a lower rate"):
        make_plan(workload(pattern="mmpp", seed=starting[0], **fields), 1)
