"""Durations as people write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.jobs.units import format_duration, parse_duration_ns


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("5s", 5_000_000_000), ("200ms", 200_000_000), ("1.5m", 90_000_000_000), ("0.1us", 100), ("3ns", 3),
        ("1h", 3_600_000_000_000), ("0s", 0), ("0.3s", 300_000_000), (" 5s ", 5_000_000_000),
    ],
)  # fmt: skip
def test_a_duration_is_read(text: str, nanoseconds: int) -> None:
    """A number with a unit, exactly."""
    assert parse_duration_ns(text) == nanoseconds


@pytest.mark.parametrize(
    "value", [5, 5.0, True, None, "5", "s", "5 s", "-1s", "5S", "5sec", "1e3s", "1h30m", "\u0665s", ["5s"]]
)
def test_anything_else_is_refused(value: object) -> None:
    """Above all a number without a unit: seconds or milliseconds, nobody can tell."""
    with pytest.raises(ValueError, match="number with a unit"):
        parse_duration_ns(value)


@given(st.integers(0, 10**15))
def test_what_is_written_reads_back(duration_ns: int) -> None:
    """Every duration has a spelling that gives it back exactly."""
    assert parse_duration_ns(format_duration(duration_ns)) == duration_ns
