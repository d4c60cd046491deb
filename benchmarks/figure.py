"""A measured figure beside its target."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from support.running_stack import RunningStack


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One row of the table. ``low`` and ``high`` bound the target; None leaves that side open."""

    name: str
    measured: float
    unit: str
    low: float | None = None
    high: float | None = None
    detail: str = ""

    @property
    def is_met(self) -> bool:
        return (self.low is None or self.measured >= self.low) and (self.high is None or self.measured <= self.high)

    @property
    def target(self) -> str:
        if self.low is not None and self.high is not None:
            return f"{self.low:g} to {self.high:g} {self.unit}"
        return f"<= {self.high:g} {self.unit}" if self.high is not None else f">= {self.low:g} {self.unit}"


Benchmark = Callable[[RunningStack], Iterable[Figure]]


def percentile(values: Sequence[float], share: float) -> float:
    """Nearest-rank percentile of a small sample."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * round(share * 1000) // 1000) - 1)]


def table(figures: Sequence[Figure]) -> str:
    """Name, measured value, target and whether it is met, aligned."""
    rows = [(f.name, f"{f.measured:.3f} {f.unit}", f.target, "ok" if f.is_met else "MISSED", f.detail) for f in figures]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, [*widths, 0], strict=True)) for row in rows
    )
