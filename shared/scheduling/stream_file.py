"""Traces of runs: CSV with a head, one run a line: arrival, duration, and if wanted team and device class."""

import csv
from collections.abc import Sequence
from io import StringIO
from math import isfinite
from typing import Final

import numpy as np

from shared.errors import InvalidInput, Problem
from shared.scheduling.synthetic import Stream

COLUMNS: Final = ("arrival", "duration", "team", "device")
"""Arrival and duration are seconds on any one clock; without team and device, all runs have the same."""

_MOST_PROBLEMS: Final = 20


def read_stream(text: str, name: str) -> Stream:
    """The runs, in order of arrival; the first arrives at 0.

    Raises:
        InvalidInput: no head, a missing column, a value that is no number, an arrival or a duration that cannot be;
            every problem with its line.
    """
    lines = csv.reader(StringIO(text))
    head = [cell.strip().lower() for cell in next(lines, [])]
    _check_head(head, name)
    problems: list[Problem] = []
    rows: list[tuple[float, float, str, str]] = []
    for cells in lines:
        if cells:
            found = _row(dict(zip(head, cells, strict=False)), lines.line_num)
            if isinstance(found, Problem):
                problems.append(found)
            else:
                rows.append(found)
    if problems:
        raise InvalidInput(f"{name} is no trace: {len(problems)} lines are wrong", problems=problems[:_MOST_PROBLEMS])
    if not rows:
        raise InvalidInput(f"{name} is no trace: it has no runs")
    return _stream(sorted(rows, key=lambda row: row[0]))


def _check_head(head: Sequence[str], name: str) -> None:
    missing = [column for column in COLUMNS[:2] if column not in head]
    unknown = [column for column in head if column not in COLUMNS]
    if missing or unknown:
        allowed = ",".join(COLUMNS)
        problem = Problem(message="is no head of a trace", line=1, column=1, found=",".join(head), allowed=allowed)
        raise InvalidInput(f"{name} is no trace: its first line must be {allowed}", problems=[problem])


def _row(cells: dict[str, str], line: int) -> tuple[float, float, str, str] | Problem:
    values: dict[str, float] = {}
    for column, least in (("arrival", "any number"), ("duration", "more than 0")):
        text = cells.get(column, "").strip()
        value = _number(text)
        if value is None or (column == "duration" and value <= 0):
            message = f"{column} is {text or 'missing'}"
            return Problem(message=message, path=column, line=line, column=1, found=text, allowed=least)
        values[column] = value
    team, device = (cells.get(column, "").strip() for column in COLUMNS[2:])
    return values["arrival"], values["duration"], team or "a", device or "cpu"


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if isfinite(value) else None


def _stream(rows: Sequence[tuple[float, float, str, str]]) -> Stream:
    arrivals, durations, teams, devices = zip(*rows, strict=True)
    return Stream(
        arrival_s=np.array(arrivals) - arrivals[0],
        duration_s=np.array(durations),
        team=teams,
        device=devices,
        duplicate_of=np.full(len(rows), -1, np.int64),
    )
