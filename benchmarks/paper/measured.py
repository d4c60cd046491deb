"""What one run of an experiment measured, and figures of it that several experiments compare."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shared.measure.record import Record, Stage


@dataclass(frozen=True)
class Measured:
    """One point of the sweep. ``record`` is None where the run has none; ``ended`` says how it ended."""

    point: Mapping[str, Any]
    record: Record | None
    ended: str = ""

    def at(self, path: str) -> Any:
        """The value that the sweep gave to this path of the job file."""
        return self.point[path]

    @property
    def is_believed(self) -> bool:
        """Whether its figures may be compared: disturbed ones are shown and not believed."""
        return self.record is not None and self.record.verdict.kind != "invalid"


@dataclass(frozen=True)
class Finding:
    """Whether a statement holds here. ``holds`` is None where it cannot be told."""

    holds: bool | None
    detail: str

    @property
    def word(self) -> str:
        return "cannot be told" if self.holds is None else "holds here" if self.holds else "does not hold here"


Figure = Callable[[Record], float | None]
"""A figure of a record; None where it is not available."""


def response_p50_ms(record: Record) -> float | None:
    """The median response latency, where it is certified."""
    return record.response_latency.percentiles["p50"].ms


def response_p95_ms(record: Record) -> float | None:
    """The tail of the response latency that a run of some hundred requests can certify."""
    return record.response_latency.percentiles["p95"].ms


def response_p99_ms(record: Record) -> float | None:
    """Further out, where it is certified."""
    return record.response_latency.percentiles["p99"].ms


def throughput_rps(record: Record) -> float | None:
    """Answers per second."""
    return record.throughput_rps


def batch_size_mean(record: Record) -> float | None:
    """Samples that the server executed together, on average."""
    return record.batch_size_mean


def server_cpu_pct(record: Record) -> float | None:
    """What the server took of the processor; 100 is one core."""
    return record.server.cpu_mean_pct


def server_rss_mib(record: Record) -> float | None:
    """The most memory that the server had in use."""
    return None if record.server.rss_max_bytes is None else record.server.rss_max_bytes / 2**20


def stage_mean_ms(stage: Stage) -> Figure:
    """The mean of a stage."""
    return lambda record: record.stages[stage].mean_ms if stage in record.stages else None


def first_inference_ms(record: Record) -> float | None:
    """From the decision to start until the first answer."""
    return record.cold_start.first_inference_ms


def values(measured: Iterable[Measured], figure: Figure) -> list[float] | None:
    """A figure of every run, in order; None if one of them has none, or may not be believed."""
    found = [figure(one.record) if one.record is not None and one.is_believed else None for one in measured]
    return None if None in found or not found else [value for value in found if value is not None]


def by(measured: Iterable[Measured], path: str) -> dict[Any, list[Measured]]:
    """Runs by the value that the sweep gave to ``path``, in the sweep's order."""
    groups: dict[Any, list[Measured]] = {}
    for one in measured:
        groups.setdefault(one.at(path), []).append(one)
    return groups


def shown(numbers: Sequence[float], digits: int = 3) -> str:
    """Numbers as people read them."""
    return ", ".join(f"{number:.{digits}g}" for number in numbers)
