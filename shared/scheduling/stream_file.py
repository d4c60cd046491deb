"""Traces of runs: CSV with a head, one run a line: arrival, duration, and if wanted team, device class and more."""

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import StringIO
from math import isfinite, nan
from typing import Final

import numpy as np

from shared.errors import InvalidInput, Problem
from shared.scheduling.synthetic import Stream

COLUMNS: Final = ("arrival", "duration", "team", "device", "predicted", "ended")
"""Arrival and end are seconds on any one clock, duration and prediction seconds; only the first two must be there.

Without team and device class, all runs have the same. ``predicted`` is what a policy is shown instead of the duration;
``ended`` is when the run really ended, which is told beside a policy and changes nothing.
"""

_NEEDED: Final = 2
_MOST_PROBLEMS: Final = 20


@dataclass(frozen=True, kw_only=True)
class TracedRun:
    """One line. Seconds, as in ``COLUMNS``; None where the line does not say it."""

    arrival_s: float
    duration_s: float
    team: str = "a"
    device: str = "cpu"
    predicted_s: float | None = None
    ended_s: float | None = None


def read_stream(text: str, name: str) -> Stream:
    """The runs, in order of arrival; the first arrives at 0.

    Raises:
        InvalidInput: as ``read_runs``, and where there is no run.
    """
    runs = read_runs(text, name)
    if not runs:
        raise InvalidInput(f"{name} is no trace: it has no runs")
    return stream_of(runs)


def read_runs(text: str, name: str) -> list[TracedRun]:
    """The lines, in order of arrival.

    Raises:
        InvalidInput: no head, a missing column, a value that is no number, a time that cannot be; every problem with
            its line.
    """
    lines = csv.reader(StringIO(text))
    head = [cell.strip().lower() for cell in next(lines, [])]
    _check_head(head, name)
    problems: list[Problem] = []
    runs: list[TracedRun] = []
    for cells in lines:
        if cells:
            found = _run(dict(zip(head, cells, strict=False)), lines.line_num)
            if isinstance(found, Problem):
                problems.append(found)
            else:
                runs.append(found)
    if problems:
        raise InvalidInput(f"{name} is no trace: {len(problems)} lines are wrong", problems=problems[:_MOST_PROBLEMS])
    return sorted(runs, key=lambda run: run.arrival_s)


def _check_head(head: Sequence[str], name: str) -> None:
    missing = [column for column in COLUMNS[:_NEEDED] if column not in head]
    unknown = [column for column in head if column not in COLUMNS]
    if missing or unknown:
        allowed = ",".join(COLUMNS)
        problem = Problem(message="is no head of a trace", line=1, column=1, found=",".join(head), allowed=allowed)
        raise InvalidInput(f"{name} is no trace: its first line must be {allowed}", problems=[problem])


def _run(cells: Mapping[str, str], line: int) -> TracedRun | Problem:
    texts = {column: cells.get(column, "").strip() for column in COLUMNS}
    values = {column: _number(texts[column]) for column in COLUMNS if column not in ("team", "device")}
    arrival, duration, predicted, ended = (values[column] for column in values)
    for column, is_right, allowed in (
        ("arrival", arrival is not None, "any number"),
        ("duration", duration is not None and duration > 0, "more than 0"),
        ("predicted", not texts["predicted"] or (predicted is not None and predicted > 0), "more than 0, or nothing"),
        ("ended", not texts["ended"] or _is_after(ended, arrival), "after the arrival, or nothing"),
    ):
        if not is_right:
            message = f"{column} is {texts[column] or 'missing'}"
            return Problem(message=message, path=column, line=line, column=1, found=texts[column], allowed=allowed)
    return TracedRun(
        arrival_s=arrival or 0.0, duration_s=duration or 0.0, team=texts["team"] or "a",
        device=texts["device"] or "cpu", predicted_s=predicted, ended_s=ended,
    )  # fmt: skip


def _is_after(ended: float | None, arrival: float | None) -> bool:
    return ended is not None and arrival is not None and ended > arrival


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if isfinite(value) else None


def lines_of(runs: Iterable[TracedRun]) -> Iterator[str]:
    """The file, head first; read again it is the same to the microsecond."""
    yield _line(COLUMNS)
    for run in runs:
        numbers = (run.arrival_s, run.duration_s, run.predicted_s, run.ended_s)
        arrival, duration, predicted, ended = ("" if number is None else f"{number:.6f}" for number in numbers)
        yield _line((arrival, duration, run.team, run.device, predicted, ended))


def _line(cells: Sequence[str]) -> str:
    text = StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue()


def stream_of(runs: Sequence[TracedRun]) -> Stream:
    """At least one run, in order of arrival; the first arrives at 0."""
    first_s = runs[0].arrival_s
    return Stream(
        arrival_s=np.array([run.arrival_s - first_s for run in runs]),
        duration_s=np.array([run.duration_s for run in runs]),
        team=tuple(run.team for run in runs),
        device=tuple(run.device for run in runs),
        duplicate_of=np.full(len(runs), -1, np.int64),
        predicted_s=np.array([nan if run.predicted_s is None else run.predicted_s for run in runs]),
    )
