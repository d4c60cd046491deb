"""Deriving a record again, as the command line shows it."""

from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel

from cli.client import Client
from cli.exits import ExitCode
from cli.quantities import printable
from cli.raw_files import RawFile, fetch_raw, read_raw
from cli.tables import table
from shared.measure.plan_again import manifest_of
from shared.measure.recompute import Mismatch, derive_again, figure_count
from shared.measure.record import Record

_SUFFIX: Final = ".parquet"
_LONGEST: Final = 60


class DifferingFigure(BaseModel):
    """A figure that the raw file does not bear out; "absent" where one side has none."""

    figure: str
    recorded: Any
    recomputed: Any


class Recomputed(BaseModel):
    """What came of deriving a record again."""

    run_id: str
    samples_sha256: str
    figures: int
    equal: bool
    mismatches: tuple[DifferingFigure, ...]

    @property
    def exit_code(self) -> ExitCode:
        return ExitCode.OK if self.equal else ExitCode.NOT_SHOWN


def is_file(given: str) -> bool:
    """Whether a raw file is meant, rather than a run."""
    return given.endswith(_SUFFIX)


def recomputed(client: Client, run_id: str) -> Recomputed:
    """A run's record, from the raw file that the leader keeps.

    Raises:
        InvalidInput: the file has no manifest, or one that does not fit it.
        NotFound: no such run, record or raw file.
    """
    record = client.record(run_id).record
    return _compared(fetch_raw(client, record), record)


def recomputed_file(client: Client, path: str) -> Recomputed:
    """The record of the run that a raw file names, from that file.

    Raises:
        InvalidInput: it is no samples file, has no manifest, or one that does not fit it.
        NotFound: the leader has no record of that run.
    """
    raw = read_raw(Path(path))
    return _compared(raw, client.record(manifest_of(raw.samples).run_id).record)


def recomputed_lines(result: Recomputed) -> list[str]:
    """One line where all is equal; else a table of what is not."""
    if result.equal:
        return [f"{result.run_id}: all {result.figures} figures of the record follow from its raw samples"]
    rows = [(each.figure, _shown(each.recorded), _shown(each.recomputed)) for each in result.mismatches]
    told = f"{len(rows)} of {result.figures} figures of the record do NOT follow from its raw samples"
    return [f"{result.run_id}: {told}", *table(("FIGURE", "RECORDED", "RECOMPUTED"), rows)]


def _compared(raw: RawFile, record: Record) -> Recomputed:
    mismatches = derive_again(raw.samples, record)
    if record.samples_sha256 not in (None, raw.sha256):
        mismatches = [Mismatch("samples_sha256", record.samples_sha256, raw.sha256), *mismatches]
    return Recomputed(
        run_id=record.run_id,
        samples_sha256=raw.sha256,
        figures=figure_count(record),
        equal=not mismatches,
        mismatches=tuple(DifferingFigure(**vars(mismatch)) for mismatch in mismatches),
    )


def _shown(value: Any) -> str:
    text = printable(str(value))
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
