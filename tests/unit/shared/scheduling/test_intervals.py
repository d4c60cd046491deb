"""Intervals of figures that a single stream gives."""

import numpy as np
import pytest

from shared.scheduling.evaluate import block_bootstrap, evaluate
from shared.scheduling.simulate import Setting
from shared.scheduling.synthetic import StreamSpec, draw_stream


def autoregressive(random: np.random.Generator, n: int, memory: float) -> np.ndarray:
    """Mean 10, standard deviation 1, correlation ``memory`` between neighbours."""
    values = np.empty(n)
    values[0] = random.standard_normal()
    for k, noise in enumerate(random.standard_normal(n - 1), start=1):
        values[k] = memory * values[k - 1] + np.sqrt(1 - memory**2) * noise
    return 10 + values


@pytest.mark.parametrize("memory", [0.0, 0.7])
def test_a_block_interval_holds_the_truth_about_as_often_as_it_says(memory: float) -> None:
    """Means 10 over 10: the ratio is 1. In 200 draws of 900 runs, at least 85 and not all hold it.

    Blocks are a little too short for long memories, so 95 % is not quite reached; without blocks, memory 0.7 would
    hold the truth in about 60 of 100.
    """
    random, held = np.random.default_rng(5), 0
    for _ in range(200):
        above, below = (autoregressive(random, 900, memory) for _ in range(2))
        found = block_bootstrap(above, below)
        held += found.low <= 1.0 <= found.high
    assert 0.85 * 200 <= held <= 0.99 * 200


def test_equal_parts_give_a_point() -> None:
    """Three times the same, however blocks are drawn; a single run too."""
    values = np.array([1.0, 5.0, 2.0, 8.0, 3.0])
    found = block_bootstrap(3 * values, values)
    assert [found.value, found.low, found.high] == pytest.approx([3.0, 3.0, 3.0])
    single = block_bootstrap(np.array([4.0]), np.array([2.0]))
    assert (single.value, single.low, single.high, single.seeds) == (2.0, 2.0, 2.0, 1)


def test_a_single_stream_has_intervals_too() -> None:
    """Around its values, of the ratio to the bound and of both speed-ups; several streams have theirs over seeds."""
    spec = StreamSpec(law="uniform", runs=300, slots={"cpu": 4})
    one = evaluate({1: draw_stream(spec, 1)}, Setting(slots={"cpu": 4}))
    for interval in (one.ratio_to_bound, *one.speedup.values()):
        assert interval.low < interval.value < interval.high
        assert interval.seeds == 1
    three = evaluate({seed: draw_stream(spec, seed) for seed in (1, 2, 3)}, Setting(slots={"cpu": 4}))
    assert three.ratio_to_bound.seeds == 3
