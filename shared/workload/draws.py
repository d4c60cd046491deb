"""Random draws whose streams never change, from PCG64's raw words through ``SeedSequence``.

Those two are the parts of numpy's random module whose streams are promised to stay; its distributions are not. Draws
are rounded to whole steps before they are summed, so that sums are exact and a seed keeps its digest.
"""

import math
from collections.abc import Callable
from typing import Final

import numpy as np
import numpy.typing as npt

ARRIVALS: Final = 0
PAYLOADS: Final = 1
STARTS: Final = 2

_MOST_AT_ONCE: Final = 2**19

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


def stream(seed: int, purpose: int) -> np.random.PCG64:
    """Independent streams of one seed, so that a longer plan does not change the payload order."""
    return np.random.PCG64(np.random.SeedSequence(seed, spawn_key=(purpose,)))


def uniforms(source: np.random.PCG64, count: int) -> Floats:
    """``count`` numbers in [0, 1) with 53 bits, one raw word each."""
    return np.asarray((source.random_raw(count) >> np.uint64(11)) * 2.0**-53)


def exponentials(source: np.random.PCG64, count: int) -> Floats:
    """``count`` exponential numbers of mean 1, by inversion, one raw word each."""
    return -np.log1p(-uniforms(source, count))


def gammas(source: np.random.PCG64, trials: int, shape: float) -> Floats:
    """At most ``trials`` gamma numbers of the given shape and scale 1; four raw words a trial, at least 95 % succeed.

    Marsaglia and Tsang, "A simple method for generating gamma variables", ACM Transactions on Mathematical Software
    26(3), 2000; a shape below 1 by their section 6: Gamma(a) = Gamma(a + 1) U^(1/a). Normals by Box and Muller. A
    trial uses its four words whether it succeeds or not, so the sequence does not depend on how it is cut into calls.
    """
    radius, angle, level, boost = uniforms(source, 4 * trials).reshape(trials, 4).T
    d = (shape if shape >= 1 else shape + 1) - 1 / 3
    normal = np.sqrt(-2 * np.log1p(-radius)) * np.cos(2 * math.pi * angle)
    cube = (1 + normal / math.sqrt(9 * d)) ** 3
    inside = cube > 0
    normal, cube, level, boost = normal[inside], cube[inside], level[inside], boost[inside]
    accepted = np.log1p(-level) < normal**2 / 2 + d * (1 - cube + np.log(cube))
    value = d * cube[accepted]
    return value if shape >= 1 else np.asarray(value * (1 - boost[accepted]) ** (1 / shape))


def running_sum(draw: Callable[[int], Floats], expected: float, end: int, first: int | None = None) -> Integers:
    """Sums of rounded draws, ascending, all below ``end``; shape (n,).

    Args:
        draw: gives about as many non-negative numbers as it is asked for.
        expected: about how many are needed.
        end: where the sum stops; at most 2**60.
        first: the first sum, where it is not a draw like the others.
    """
    parts = [np.array([] if first is None else [first], dtype=np.int64)]
    last = first or 0
    while last < end:
        chunk = min(int(expected + 6 * math.sqrt(expected)) + 16, _MOST_AT_ONCE)
        steps = np.minimum(np.rint(draw(chunk)), float(end)).astype(np.int64)
        parts.append(last + np.cumsum(steps))
        last += int(steps.sum())
    sums = np.concatenate(parts)
    return sums[: int(np.searchsorted(sums, end, side="left"))]
