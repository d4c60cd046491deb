"""Significance of a mean or a slope: Student's t and Fisher's F, without a statistics library."""

import math
from typing import Final

_STEPS: Final = 500
_SMALLEST: Final = 1e-300
_PRECISION: Final = 1e-14


def t_p_value(t: float, freedom: float) -> float:
    """Chance of a value as far from zero as ``t``, on either side."""
    return incomplete_beta(freedom / 2, 0.5, freedom / (freedom + t * t))


def f_p_value_of_three(f: float, freedom: float) -> float:
    """Chance of an F as large, for three groups (2 degrees of freedom above): closed form."""
    return math.pow(1 + 2 * f / freedom, -freedom / 2)


def incomplete_beta(a: float, b: float, x: float) -> float:
    """The regularised incomplete beta function I_x(a, b), for a, b > 0 and 0 <= x <= 1.

    By its continued fraction with Lentz's method: W. H. Press et al., Numerical Recipes, 6.4.
    """
    if x <= 0 or x >= 1:
        return 0.0 if x <= 0 else 1.0
    if x > (a + 1) / (a + b + 2):
        return 1.0 - incomplete_beta(b, a, 1.0 - x)
    front = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    return math.exp(front) * _fraction(a, b, x) / a


def _fraction(a: float, b: float, x: float) -> float:
    c, d = 1.0, 1 / _away_from_zero(1 - (a + b) * x / (a + 1))
    value = d
    for m in range(1, _STEPS):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for term in (even, odd):
            d = 1 / _away_from_zero(1 + term * d)
            c = _away_from_zero(1 + term / c)
            value *= c * d
        if abs(c * d - 1) < _PRECISION:
            break
    return value


def _away_from_zero(value: float) -> float:
    return value if abs(value) > _SMALLEST else _SMALLEST
