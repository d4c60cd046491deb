"""A measured figure beside its target."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One row of the table. ``low`` and ``high`` bound the target; None leaves that side open.

    ``measured`` is None where it cannot be measured here; ``detail`` then says why, and no target is missed.
    """

    name: str
    measured: float | None
    unit: str
    low: float | None = None
    high: float | None = None
    detail: str = ""

    @property
    def is_met(self) -> bool:
        if self.measured is None:
            return True
        return (self.low is None or self.measured >= self.low) and (self.high is None or self.measured <= self.high)

    @property
    def target(self) -> str:
        if self.low is not None and self.high is not None:
            return f"{self.low:g} to {self.high:g} {self.unit}"
        return f"<= {self.high:g} {self.unit}" if self.high is not None else f">= {self.low:g} {self.unit}"

    @property
    def value(self) -> str:
        return "not measured" if self.measured is None else f"{self.measured:.3f} {self.unit}"

    @property
    def word(self) -> str:
        if self.measured is None:
            return "-"
        return "ok" if self.is_met else "MISSED"


Benchmark = Callable[[], Iterable[Figure]]
"""Its docstring says, in one line each, how the figures are measured and what biases them."""


def percentile(values: Sequence[float], share: float) -> float:
    """Nearest-rank percentile of a small sample."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * round(share * 1000) // 1000) - 1)]


def table(figures: Sequence[Figure]) -> str:
    """Name, measured value, target and whether it is met, aligned."""
    rows = [(f.name, f.value, f.target, f.word, f.detail) for f in figures]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, [*widths, 0], strict=True)).rstrip() for row in rows
    )
