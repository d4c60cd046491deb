"""Recorded arrivals: a trace as CSV with a header or as JSON lines, read and checked whole.

The columns that are known stand in ``shared.workload.trace_columns``. The first row is the trace's zero.
"""

import csv
import io
import json
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from difflib import get_close_matches
from typing import Any, Final, NoReturn

import numpy as np
import numpy.typing as npt

from shared.errors import InvalidInput, Problem
from shared.jobs.workload import MAX_PLANNED_REQUESTS
from shared.workload.trace_columns import COLUMNS, Column, Kind, time_ns

_RIGHT: Final = "a number of at least 0, or a date and time such as 2024-05-10 00:00:00.009930+00:00"
_JSON: Final = json.JSONDecoder(parse_float=Decimal, parse_int=Decimal, parse_constant=Decimal)
_SHOWN: Final = 60  # characters of a wrong value


class _WrongRow(Exception):
    """What is wrong, without the line, which the reader of the rows knows."""

    def __init__(self, message: str, **parts: str | None) -> None:
        self.message = message
        self.parts = parts
        super().__init__(message)


@dataclass
class _Rows:
    """The values of the time column, one by one; ``line`` is where the last one stood."""

    text: str
    line: int = 0

    def __iter__(self) -> Iterator[tuple[Column, Any]]:
        return self._json_rows() if self.text.lstrip().startswith("{") else self._csv_rows()

    def _csv_rows(self) -> Iterator[tuple[Column, Any]]:
        reader = csv.reader(io.StringIO(self.text, newline=""))
        header: list[str] | None = None
        try:
            for row in reader:
                self.line = reader.line_num
                if not row:
                    continue
                if header is None:
                    header = [name.strip() for name in row]
                    column = _known_column(header, "CSV")
                    place = header.index(column.name)
                elif place < len(row):
                    yield column, row[place]
                else:
                    raise _WrongRow("has too few values", found=str(len(row)), allowed=f"{len(header)} values")
        except csv.Error as error:
            self.line = reader.line_num
            raise _WrongRow(f"CSV syntax: {error}") from error

    def _json_rows(self) -> Iterator[tuple[Column, Any]]:
        column: Column | None = None
        for text in io.StringIO(self.text, newline=""):
            self.line += 1
            if not text.strip():
                continue
            row = _json_object(text)
            column = column or _known_column(list(row), "JSON lines")
            if column.name not in row:
                raise _WrongRow(f"has no {column.name}", allowed=f"{column.name} in every row, as in the first")
            yield column, row[column.name]


def read_trace(data: bytes, name: str) -> npt.NDArray[np.int64]:
    """Arrivals of a trace in nanoseconds from the first one, ascending, shape (n,).

    Args:
        data: the file, UTF-8: CSV with a header, or JSON lines if it begins with a brace.
        name: what the trace is called in errors.

    Raises:
        InvalidInput: no rows, too many rows, no known column, or a row whose time is missing, not a number,
            negative or earlier than the one before; it carries one problem, with its line.
    """
    rows = _Rows(_text(data, name))
    times = array("q")
    try:
        for column, value in rows:
            times.append(_checked_ns(column, value, times))
    except _WrongRow as wrong:
        _refuse(name, Problem(message=wrong.message, line=rows.line, column=1, **wrong.parts))
    if not times:
        _refuse(name, Problem(message="has no arrivals", allowed="a header and at least one row, or JSON lines"))
    arrivals_ns = np.frombuffer(times, dtype=np.int64)
    return np.asarray(arrivals_ns - arrivals_ns[0])


def _text(data: bytes, name: str) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        _refuse(name, Problem(message="is not UTF-8 text", line=line, column=1))


def _known_column(found: list[str], kind: Kind) -> Column:
    fitting = [column for column in COLUMNS if kind in column.kinds]
    names = [column.name for column in fitting]
    for column in fitting:
        if column.name in found:
            return column
    near = [match for name in found for match in get_close_matches(name, names, n=1)]
    shown = _shown(", ".join(found))
    raise _WrongRow(
        f"no column is known to hold times of arrival among: {shown}",
        found=shown,
        allowed=f"a header with one of {', '.join(names)}",
        suggestion=near[0] if near else None,
    )


def _json_object(text: str) -> dict[str, Any]:
    try:
        row = _JSON.decode(text)
    except (ValueError, RecursionError) as error:
        said = f"{error.msg}, at character {error.colno}" if isinstance(error, json.JSONDecodeError) else str(error)
        raise _WrongRow(f"JSON syntax: {said}", found=_shown(text)) from error
    if not isinstance(row, dict):
        raise _WrongRow("is not a JSON object", found=_shown(text), allowed="one object on each line")
    return row


def _checked_ns(column: Column, value: Any, before: "array[int]") -> int:
    if len(before) == MAX_PLANNED_REQUESTS:
        raise _WrongRow("has too many rows", allowed=f"at most {MAX_PLANNED_REQUESTS:,}")
    found = _shown(str(value))
    try:
        at_ns = time_ns(value, column)
    except ValueError as error:
        raise _WrongRow(f"{column.name} {found!r} {error}", found=found, allowed=_RIGHT) from error
    if before and at_ns < before[-1]:
        message = f"{column.name} {found!r} is {before[-1] - at_ns:,} ns earlier than the arrival before it"
        raise _WrongRow(message, found=found, allowed="rows in the order of their arrival")
    return at_ns


def _shown(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def _refuse(name: str, problem: Problem) -> NoReturn:
    raise InvalidInput(f"trace {name}: {problem}", problems=[problem])
