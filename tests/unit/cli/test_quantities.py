"""Numbers as people read them."""

from datetime import timedelta

import pytest
from rich.cells import cell_len
from support.records import NOON

from cli.quantities import age, cpu, fitted, milliseconds, padded, percent, printable, rate, seconds, size


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.41234, "0.412"), (3.256, "3.26"), (31.24, "31.2"), (1204.94, "1204.9"), (0.0, "0.000"), (None, "n/a")],
)
def test_milliseconds_keep_the_digits_that_mean_something(value: float | None, shown: str) -> None:
    """The smaller, the more decimals; missing is not zero."""
    assert milliseconds(value) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [(512, "512 B"), (2048, "2.0 KiB"), (210 * 1024**2, "210 MiB"), (3 * 1024**4, "3072 GiB"), (None, "n/a")],
)
def test_sizes_are_binary(value: float | None, shown: str) -> None:
    """1024 bytes are one KiB, and GiB is the largest unit."""
    assert size(value) == shown


@pytest.mark.parametrize(
    ("value", "shown"), [(3.24, "3.2 s"), (95.2, "95 s"), (720.0, "12 min"), (12_600.0, "3.5 h"), (None, "n/a")]
)
def test_spans_are_told_in_the_unit_of_their_size(value: float | None, shown: str) -> None:
    """Seconds, minutes, hours."""
    assert seconds(value) == shown


@pytest.mark.parametrize(("elapsed_s", "shown"), [(0, "0s"), (59, "59s"), (60, "1m"), (7200, "2h"), (200_000, "2d")])
def test_ages_are_whole_units(elapsed_s: int, shown: str) -> None:
    """The largest unit that fits; a clock that runs ahead does not give negative ages."""
    assert age(NOON, NOON + timedelta(seconds=elapsed_s)) == shown
    assert age(NOON + timedelta(seconds=9), NOON) == "0s"


def test_shares_rates_and_cores() -> None:
    """A share becomes percent; use of cores is percent already; large rates lose their decimal."""
    assert (percent(0.015), percent(None)) == ("1.5 %", "n/a")
    assert (rate(19.94), rate(12_345.6), rate(None)) == ("19.9", "12346", "n/a")
    assert (cpu(121.4), cpu(None)) == ("121 %", "n/a")


def test_wide_characters_count_two_columns() -> None:
    """A Chinese character takes two columns when text is fitted or filled up."""
    assert fitted("测试测试", 5) == "测试…"
    assert fitted("short", 5) == "short"
    assert cell_len(padded("测试", 6)) == 6


def test_control_characters_are_spelt_out() -> None:
    """What a terminal would obey is shown as an escape; letters of any script stay."""
    assert printable("a\x1b[31m\nb é 测") == "a\\x1b[31m\\nb é 测"
