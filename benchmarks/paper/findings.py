"""What the paper states of its software and pipeline tiers (sections 5.3 and 5.4), as questions to measurements. Pure.

Each function takes the runs of one experiment and says whether the statement holds for them.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from benchmarks.paper.measured import (
    Finding,
    Measured,
    by,
    first_inference_ms,
    response_p50_ms,
    response_p95_ms,
    server_cpu_pct,
    shown,
    stage_mean_ms,
    throughput_rps,
    values,
)

UNTOLD: Final = Finding(None, "a run has no figure that may be believed")
SPIKE: Final = 2.0
"""A tail that is so many times as long at the highest rate as at the lowest is one that spikes do not leave alone."""
COMPARABLE: Final = (1 / 3, 3.0)
"""Two times of one order of magnitude."""
UNDER_USED_PCT: Final = 50.0
STEADY: Final = 0.95
"""A throughput that falls below this share of the one before it does not grow steadily; noise stays above."""
PREPARES_MS: Final = 10_000.0
_LAYERS: Final = "model.generate.layers"


def grows_with_batch(measured: Sequence[Measured]) -> Finding:
    """Figure 11(a): a larger batch has a longer tail."""
    tails = values(measured, response_p95_ms)
    if tails is None:
        return UNTOLD
    return Finding(all(a < b for a, b in pairwise(tails)), f"p95 {shown(tails)} ms")


def grows_with_rate(measured: Sequence[Measured]) -> Finding:
    """Figures 11(b) and 11(c): the server does not handle a spike of load well."""
    tails = values(measured, response_p95_ms)
    if tails is None:
        return UNTOLD
    return Finding(tails[-1] >= SPIKE * tails[0], f"p95 {shown(tails)} ms, {tails[-1] / tails[0]:.1f}x from end to end")


def triton_leads(measured: Sequence[Measured]) -> Finding:
    """Figure 11(d): Triton has the shortest tail, and ONNX Runtime behind a web framework beats TensorFlow Serving."""
    tails = values(measured, response_p95_ms)
    if tails is None:
        return UNTOLD
    of = dict(zip((one.at("service.platform") for one in measured), tails, strict=True))
    order = " < ".join(sorted(of, key=of.__getitem__))
    return Finding(of["triton"] == min(tails) and of["onnxruntime"] < of["tfs-compat"], f"by p95: {order}")


def batching_pays(measured: Sequence[Measured]) -> Finding:
    """Figure 12: Triton never loses by dynamic batching and gains with clients; the other loses at low concurrency."""
    gains: dict[str, list[float]] = {}
    for platform, runs in by(measured, "service.platform").items():
        for pair in by(runs, "workload.concurrency").values():
            rates = values(pair, throughput_rps)
            if rates is None:
                return UNTOLD
            gains.setdefault(platform, []).append(rates[-1] / rates[0])
    triton = gains["triton"]
    steady = all(b > STEADY * a for a, b in pairwise(triton)) and triton[0] > STEADY and triton[-1] > 1
    told = "; ".join(f"{platform} {shown(ratios)}x" for platform, ratios in gains.items())
    return Finding(steady and gains["tfs-compat"][0] < 1, f"throughput with over without: {told}")


def under_used_at_low_rate(measured: Sequence[Measured]) -> Finding:
    """Figure 13: use follows the load, and at a low rate the device is under-used."""
    uses = values(measured, server_cpu_pct)
    if uses is None:
        return UNTOLD
    rates = [one.at("workload.rate") for one in measured]
    low = [use for use, rate in zip(uses, rates, strict=True) if rate == min(rates)]
    high = [use for use, rate in zip(uses, rates, strict=True) if rate == max(rates)]
    follows = all(a < b for a, b in zip(low, high, strict=True))
    return Finding(follows and max(low) < UNDER_USED_PCT, f"CPU {shown(low)} % at the low rate, {shown(high)} % else")


def inference_takes_over(measured: Sequence[Measured]) -> Finding:
    """Figure 14(a): transmission is comparable to inference for small batches, and its share falls with the batch."""
    transmission = values(measured, stage_mean_ms("transmission"))
    inference = values(measured, stage_mean_ms("inference"))
    if transmission is None or inference is None:
        return UNTOLD
    ratios = [a / b for a, b in zip(transmission, inference, strict=True)]
    comparable = COMPARABLE[0] <= ratios[0] <= COMPARABLE[1]
    falls = all(a > b for a, b in pairwise(ratios))
    return Finding(comparable and falls, f"transmission over inference: {shown(ratios)}")


def lte_is_longest(measured: Sequence[Measured]) -> Finding:
    """Figure 14(b): LTE has the longest end-to-end latency."""
    times = values(measured, response_p50_ms)
    if times is None:
        return UNTOLD
    of = dict(zip((one.at("network") for one in measured), times, strict=True))
    return Finding(of["lte"] == max(times), ", ".join(f"{name} {time:.3g} ms" for name, time in of.items()))


def triton_starts_slowly(measured: Sequence[Measured]) -> Finding:
    """Figure 14(c): Triton starts later than TensorFlow Serving, and takes more than 10 s even for a small model."""
    starts = values(measured, first_inference_ms)
    if starts is None:
        return UNTOLD
    of: dict[str, list[float]] = {}  # the smaller model first
    for one, start_ms in sorted(zip(measured, starts, strict=True), key=lambda pair: pair[0].at(_LAYERS)):
        of.setdefault(one.at("service.platform"), []).append(start_ms)
    later = all(a > b for a, b in zip(of["triton"], of["tfs-compat"], strict=True))
    told = "; ".join(f"{platform} {shown(times)} ms" for platform, times in of.items())
    return Finding(later and of["triton"][0] > PREPARES_MS, f"to the first answer: {told}")
