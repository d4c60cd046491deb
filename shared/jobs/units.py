"""Durations as people write them (``5s``, ``200ms``) and as the code keeps them (integer nanoseconds)."""

import re
from decimal import Decimal
from typing import Annotated, Final

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

_NS_PER_UNIT: Final = {
    "ns": 1,
    "us": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
}
DURATION_PATTERN: Final = r"^[0-9]{1,15}(\.[0-9]{1,9})?(ns|us|ms|s|m|h)$"
_PATTERN: Final = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,9})?)(ns|us|ms|s|m|h)")


def parse_duration_ns(value: object) -> int:
    """``"5s"`` -> 5_000_000_000.

    Raises:
        ValueError: no unit, an unknown unit, or not a duration at all.
    """
    match = _PATTERN.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        raise ValueError("a duration is a number with a unit, such as 5s, 200ms or 2m")
    return round(Decimal(match[1]) * _NS_PER_UNIT[match[2]])


def format_duration(duration_ns: int) -> str:
    """The shortest exact spelling: 5_000_000_000 -> ``"5s"``."""
    for unit in ("h", "m", "s", "ms", "us"):
        if duration_ns and duration_ns % _NS_PER_UNIT[unit] == 0:
            return f"{duration_ns // _NS_PER_UNIT[unit]}{unit}"
    return f"{duration_ns}ns" if duration_ns else "0s"


DurationNs = Annotated[
    int,
    BeforeValidator(parse_duration_ns),
    PlainSerializer(format_duration, return_type=str),
    WithJsonSchema({"type": "string", "pattern": DURATION_PATTERN, "examples": ["5s", "200ms"]}),
]
"""Nanoseconds in code, ``5s`` in files; a number without a unit is refused."""
