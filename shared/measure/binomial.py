"""The binomial law, exact in the tails and for tens of millions of trials; numpy and the standard library only.

A probability comes from Loader's saddle-point form, whose relative error stays near 1e-14 where differences of
log-gamma lose up to eight digits; a tail sums the terms away from the mean, each a known multiple of the last.

Source: C. Loader, "Fast and Accurate Computation of Binomial Probabilities", 2000.
"""

import math
from typing import Final

import numpy as np

_STIRLING_EXACT: Final = 16  # below it the error of Stirling's formula comes from the factorial itself
_NEGLIGIBLE: Final = 1e-18
_CHUNK: Final = 4096


def at_most(k: int, n: int, p: float) -> float:
    """P(X <= k) for X binomial with ``n`` trials of chance ``p``, 0 < p < 1."""
    if k < 0:
        return 0.0
    if k >= n:
        return 1.0
    if k <= n * p:
        return min(1.0, _lower_tail(k, n, p))
    return max(0.0, 1.0 - _lower_tail(n - k - 1, n, 1.0 - p))


def quantile(chance: float, n: int, p: float) -> int:
    """The smallest k with P(X <= k) >= ``chance``, for 0 < chance < 1."""
    low, high, guess, step = -1, n, round(n * p), max(1, round(math.sqrt(n * p * (1 - p))))
    while high - low > 1:
        middle = min(max(guess, low + 1), high - 1)
        if at_most(middle, n, p) >= chance:
            high, guess = middle, middle - step
        else:
            low, guess = middle, middle + step
        step = step * 2 if low == -1 or high == n else 0
        if not step:
            guess = (low + high) // 2
    return high


def probability(k: int, n: int, p: float) -> float:
    """P(X = k)."""
    if not 0 <= k <= n:
        return 0.0
    if k in (0, n):
        return math.exp(n * (math.log1p(-p) if k == 0 else math.log(p)))
    exponent = (
        _stirling_error(n) - _stirling_error(k) - _stirling_error(n - k)
        - _deviance(k, n * p) - _deviance(n - k, n * (1 - p))
    )  # fmt: skip
    return math.exp(exponent) * math.sqrt(n / (2 * math.pi * k * (n - k)))


def _lower_tail(k: int, n: int, p: float) -> float:
    """The sum from k down to 0, for k at or below the mean: there every term is smaller than the one before."""
    term, total, top = probability(k, n, p), 0.0, k
    while True:
        total += term
        places = np.arange(top, max(top - _CHUNK, 0), -1, dtype=np.float64)
        if not len(places):
            return total
        terms = term * np.cumprod(places / (n - places + 1) * ((1 - p) / p))
        total += float(terms.sum()) - float(terms[-1])
        term, top = float(terms[-1]), top - len(places)
        if term < total * _NEGLIGIBLE:
            return total


def _stirling_error(n: int) -> float:
    """log(n!) less Stirling's formula; its series is below 1e-16 from 16 on."""
    if n < _STIRLING_EXACT:
        return math.log(math.factorial(n)) - 0.5 * math.log(2 * math.pi * n) - n * (math.log(n) - 1)
    square = float(n) * n
    return (1 / 12 - (1 / 360 - (1 / 1260 - (1 / 1680 - 1 / 1188 / square) / square) / square) / square) / n


def _deviance(x: float, mean: float) -> float:
    """The sum x log(x / mean) + mean - x, without the cancellation where the two are close."""
    if abs(x - mean) >= 0.1 * (x + mean):  # from there on nothing cancels
        return x * math.log(x / mean) + mean - x
    ratio = (x - mean) / (x + mean)
    total, factor, odd = (x - mean) * ratio, 2 * x * ratio, 1
    while True:
        factor *= ratio * ratio
        odd += 2
        more = total + factor / odd
        if more == total:
            return total
        total = more
