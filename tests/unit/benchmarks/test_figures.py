"""The benchmarks' own arithmetic: targets, tables, rounds, and what is put beside other tools."""

import math
from pathlib import Path

import pytest

from benchmarks.figure import Figure, percentile, table
from benchmarks.rounds import difference, interleaved, ratio, told
from benchmarks.wrk import write_script


@pytest.mark.parametrize(
    ("measured", "low", "high", "word"),
    [(1.0, None, 1.0, "ok"), (1.1, None, 1.0, "MISSED"), (0.9, 0.95, 1.05, "MISSED"), (math.nan, 0.0, None, "MISSED")],
)
def test_a_figure_is_met_at_its_bounds_and_missed_beyond_them(
    measured: float, low: float | None, high: float | None, word: str
) -> None:
    """A benchmark that broke has no number, and that meets nothing."""
    assert Figure(name="f", measured=measured, unit="us", low=low, high=high).word == word


def test_what_cannot_be_measured_here_says_why_and_misses_nothing() -> None:
    """As where wrk is not installed."""
    figure = Figure(name="f", measured=None, unit="us", high=20, detail="not measured: apt install wrk")
    assert figure.is_met
    assert table([figure]) == "f  not measured  <= 20 us  -  not measured: apt install wrk"


def test_the_table_is_aligned() -> None:
    """Every column as wide as its widest cell."""
    first, second = table(
        [
            Figure(name="a long name", measured=1, unit="s", high=2),
            Figure(name="short", measured=1000, unit="us", low=0.5, high=2),
        ]
    ).splitlines()
    assert first == "a long name  1.000 s      <= 2 s       ok"
    assert second == "short        1000.000 us  0.5 to 2 us  MISSED"


def test_percentiles_are_nearest_rank() -> None:
    """Always one of the values."""
    assert percentile([3, 1, 2], 0.5) == 2
    assert percentile(range(1, 101), 0.99) == 99


def test_contenders_take_turns_and_odd_rounds_go_backwards() -> None:
    """A B, B A, A B: none is always the one that follows the other."""
    calls: list[str] = []

    def contender(name: str, value: float) -> float:
        calls.append(name)
        return value + len(calls)

    values = interleaved({"a": lambda: contender("a", 0), "b": lambda: contender("b", 10)}, 3)
    assert "".join(calls) == "abbaab"
    assert values == {"a": [1, 4, 5], "b": [12, 13, 16]}


def test_ratios_and_differences_pair_values_of_one_round() -> None:
    """A round in which the whole machine was slow counts as any other."""
    values = {"ours": [10.0, 110.0, 12.0], "wrk": [10.0, 100.0, 10.0]}
    assert ratio(values, "ours", "wrk") == pytest.approx(1.1)
    assert difference(values, "ours", "wrk") == pytest.approx(2.0)
    assert told(values, "us") == "us: ours 12.0 (10.0 to 110.0), wrk 10.0 (10.0 to 100.0)"


def test_wrk_posts_the_very_same_bytes(tmp_path: Path) -> None:
    """Body from a file, headers as they are; those that wrk writes itself are left to it."""
    request = b"POST /p HTTP/1.1\r\nHost: h:1\r\nContent-Type: a/b\r\nContent-Length: 3\r\n\r\n\x00\xff\n"
    script = write_script(request, tmp_path).read_text()
    assert (tmp_path / "body.bin").read_bytes() == b"\x00\xff\n"
    assert 'wrk.headers["Content-Type"] = "a/b"' in script
    assert "Host" not in script
    assert "Content-Length" not in script
