"""Clean files are read by the parser in C, others by the one whose words people can use: both must read the same."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.errors import InvalidJobFile
from shared.jobs import yaml_source
from shared.jobs.section import Loc
from shared.jobs.source import Place, Source

ROOT = Path(__file__).parents[2]
FILES = sorted([*(ROOT / "examples" / "jobs").glob("*.yaml")])
PIECES = st.sampled_from(
    [
        "a", "name", "1", "0.5", "-1", "5s", "yes", "null", "~", "''", '"x"', "'it''s'", "http://h:1/x", "a b", "a: b",
        "- ", "? ", ": ", ", ", "[", "]", "{", "}", "\n", "\n  ", "\n    ", " # c", "|\n  t\n", ">\n  t\n", "&x ", "*x",
        "!t ", "!!int ", "---\n", "...\n", "%YAML 1.2\n", "\t", "\\", '"\\u0041"', "é", "\u2028", "<<", "=",
    ]
)  # fmt: skip


def _written(source: Source) -> dict[Loc, Place]:
    """Where values stand that have at least one character: an empty one has no place that all agree on."""
    return {loc: place for loc, place in source.values.items() if _value_at(source.data, loc) is not None}


def _value_at(data: Any, loc: Loc) -> Any:
    for step in loc:
        data = data.get(step) if isinstance(data, dict) else data[step] if isinstance(step, int) else step
    return data


def read_both(text: str) -> None:
    """Whatever the fast parser accepts, the careful one reads as the same data at the same places."""
    clean = yaml_source._read_clean(text)
    if clean is None:
        return
    careful = yaml_source._read_with_care(text)
    assert repr(careful.data) == repr(clean.data)  # repr, because a NaN is not equal to itself
    assert careful.keys == clean.keys
    assert _written(careful) == _written(clean)
    assert careful.problems == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_the_examples_are_read_alike(path: Path) -> None:
    """Both parsers give the same data and places for every example, and the fast one takes them all."""
    assert yaml_source._read_clean(path.read_text()) is not None
    read_both(path.read_text())


@settings(max_examples=2000, deadline=None)
@given(st.lists(PIECES, max_size=12).map("".join))
def test_what_the_fast_parser_accepts_the_careful_one_reads_alike(text: str) -> None:
    """No text has two meanings, whichever parser sees it first."""
    try:
        read_both(text)
    except InvalidJobFile as error:
        raise AssertionError(f"only the fast parser accepts {text!r}") from error


def test_bombs_are_refused_by_the_fast_parser_too() -> None:
    """Depth and aliases end the fast reading as they end the careful one."""
    assert yaml_source._read_clean("[" * 60_000) is None
    assert yaml_source._read_clean("a: &x [1]\nb: [*x, *x]\n") is None
