"""Quantiles of Student's t distribution, from its p-values by bisection."""

import math
from functools import lru_cache
from typing import Final

from shared.measure.student import t_p_value

_PRECISION: Final = 1e-10


@lru_cache(maxsize=1024)
def student_quantile(p: float, freedom: int) -> float:
    """The t that a value of so many degrees of freedom stays below with chance ``p``.

    Raises:
        ValueError: there is no degree of freedom, or ``p`` is not inside 0 and 1.
    """
    if freedom < 1 or not 0 < p < 1:
        raise ValueError(f"no t of {freedom} degrees of freedom at {p}")
    outside = 2 * min(p, 1 - p)
    if outside == 1:
        return 0.0
    low, high = 0.0, 1.0
    while t_p_value(high, freedom) > outside:
        low, high = high, 2 * high
    while high - low > _PRECISION * high:
        middle = (low + high) / 2
        low, high = (middle, high) if t_p_value(middle, freedom) > outside else (low, middle)
    return math.copysign(high, p - 0.5)
