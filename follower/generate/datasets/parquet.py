"""Uploaded datasets: one Parquet file with the columns name, data and label."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]

from follower.generate.datasets.dataset import Dataset, Sample
from shared.errors import InvalidInput, Problem, TooLarge

SCHEMA: Final = pa.schema([
    pa.field("name", pa.string(), nullable=False),
    pa.field("data", pa.binary(), nullable=False),
    pa.field("label", pa.string()),
])  # fmt: skip
MAX_BYTES: Final = 1 << 30
"""Most bytes of the three columns once unpacked; a dataset is held in memory while it is sent."""

BATCH_ROWS: Final = 64


def load_parquet(path: Path, *, name: str, version: int) -> Dataset:
    """Reads a dataset from a file.

    Raises:
        InvalidInput: Not Parquet, other columns than name, data and label, nothing in it, or gaps in name or data.
        TooLarge: It would take more than ``MAX_BYTES`` of memory.
    """
    with path.open("rb") as stream:
        try:
            file = pq.ParquetFile(stream)
            _check_columns(file.schema_arrow, path)
            samples = tuple(_samples(file, path))
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:  # damage comes as any of them
            raise InvalidInput(f"{path.name} is not a complete Parquet file: {error}") from error
    if not samples:
        raise InvalidInput(f"{path.name} holds no samples")
    return Dataset(name, version, samples)


def _samples(file: pq.ParquetFile, path: Path) -> Iterator[Sample]:
    """The rows, read in small batches: what a compressed file unpacks to is known only afterwards."""
    size = 0
    for batch in file.iter_batches(batch_size=BATCH_ROWS, columns=SCHEMA.names):
        size += batch.nbytes
        if size > MAX_BYTES:
            raise TooLarge(f"{path.name} holds more than {MAX_BYTES} bytes of samples")
        for row in batch.to_pylist():
            sample = Sample(row["name"], row["data"], row["label"])
            if sample.name is None or sample.data is None:
                raise InvalidInput(f"{path.name} has rows without name or data; every sample needs both")
            yield sample


def _check_columns(found: pa.Schema, path: Path) -> None:
    problems = [
        Problem(path=field.name, message="missing or of another type", found=_type_of(found, field.name),
                allowed=f"{field.type}")
        for field in SCHEMA
        if not _fits(found, field)
    ]  # fmt: skip
    problems += [
        Problem(path=extra, message="unknown column", allowed=", ".join(SCHEMA.names))
        for extra in found.names
        if extra not in SCHEMA.names
    ]
    if problems:
        raise InvalidInput(f"{path.name} does not have the columns of a dataset", problems=problems)


def _type_of(schema: pa.Schema, name: str) -> str | None:
    return str(schema.field(name).type) if schema.names.count(name) == 1 else None


def _fits(schema: pa.Schema, wanted: pa.Field) -> bool:
    """The column is there once, of the type wanted, of its 64-bit twin, or all null where null is allowed."""
    if schema.names.count(wanted.name) != 1:
        return False
    found = schema.field(wanted.name).type
    twins = {pa.string(): pa.large_string(), pa.binary(): pa.large_binary()}
    return found in (wanted.type, twins[wanted.type]) or (wanted.nullable and pa.types.is_null(found))
