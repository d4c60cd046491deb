"""The columns of a trace that hold a time of arrival, and how their values come to nanoseconds."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Final, Literal

Kind = Literal["CSV", "JSON lines"]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND: Final = timedelta(seconds=1)
_LATEST_NS: Final = 2**62
"""The year 2116 in nanoseconds since 1970: nothing later is a time of arrival, and sums of two stay below 2**63."""

_STAMP: Final = re.compile(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)?")


@dataclass(frozen=True)
class Column:
    """One known column: its name, what a number in it counts, and where it is met."""

    name: str
    unit_ns: int
    kinds: tuple[Kind, ...]
    known_from: str

    @property
    def unit(self) -> str:
        return {1: "ns", 1_000: "us", 1_000_000: "ms", 1_000_000_000: "s"}[self.unit_ns]


_BOTH: Final[tuple[Kind, ...]] = ("CSV", "JSON lines")

COLUMNS: Final = (
    Column("due_ns", 1, _BOTH, "the samples of a run of this service"),
    Column("arrival_ns", 1, _BOTH, ""),
    Column("arrival_us", 1_000, _BOTH, ""),
    Column("arrival_ms", 1_000_000, _BOTH, ""),
    Column("arrival_s", 1_000_000_000, _BOTH, ""),
    Column("arrived_at", 1_000_000_000, _BOTH, "Vidur's traces"),
    Column("TIMESTAMP", 1_000_000_000, _BOTH, "the Azure LLM inference traces of 2023 and 2024 (date and time)"),
    Column("Timestamp", 1_000_000_000, _BOTH, "BurstGPT"),
    Column("timestamp", 1_000_000_000, ("CSV",), ""),
    Column("timestamp", 1_000_000, ("JSON lines",), "the Mooncake traces"),
)
"""Known columns, the first one found wins. Instead of a number each may hold a date and time, zone UTC if none."""


def time_ns(value: object, column: Column) -> int:
    """One value in nanoseconds: of a number from the trace's own zero, of a date and time from 1970.

    Raises:
        ValueError: what is wrong with it, in words.
    """
    if isinstance(value, str) and (stamp := _STAMP.fullmatch(value.strip())):
        return _since_1970_ns(stamp)
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        raise ValueError("is not a time")  # noqa: TRY004 - one error for every wrong value
    try:
        number = Decimal(value)
    except InvalidOperation:
        raise ValueError("is not a time") from None
    if not number.is_finite():
        raise ValueError("is not a number")
    if number < 0:
        raise ValueError("is negative")
    if number >= _LATEST_NS // column.unit_ns:
        raise ValueError("is too late")
    return int((number * column.unit_ns).to_integral_value())


def _since_1970_ns(stamp: re.Match[str]) -> int:
    day, clock, fraction, zone = stamp.groups()
    try:
        moment = datetime.fromisoformat(f"{day}T{clock}{zone or '+00:00'}")
    except ValueError:
        raise ValueError("is no date and time of the calendar") from None
    return (moment - _EPOCH) // _SECOND * 1_000_000_000 + int((fraction or "0").ljust(9, "0"))
