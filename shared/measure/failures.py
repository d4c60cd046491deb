"""Errors by kind. Every request of the window is in the denominator, also those that were never sent."""

import numpy as np

from shared.measure.columns import ERROR_KINDS, Columns
from shared.measure.windows import OK


def errors_by_kind(columns: Columns) -> dict[str, int]:
    """Kind -> how many; kinds that did not occur are left out."""
    counts = np.bincount(columns["error"], minlength=len(ERROR_KINDS)).tolist()
    return {kind: count for kind, count in zip(ERROR_KINDS, counts, strict=True) if count and kind != ERROR_KINDS[OK]}


def error_rate(columns: Columns) -> float:
    """Failed requests over all requests; 0 where there is none."""
    total = len(columns["error"])
    return int(np.count_nonzero(columns["error"] != OK)) / total if total else 0.0
