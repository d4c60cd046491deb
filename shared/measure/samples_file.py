"""Raw samples on disk: one Parquet file with exactly the columns of ``shared.measure.columns``, and the manifest.

The manifest is what the columns cannot tell (``shared.measure.manifest``); it stands in the file's own metadata, so
that one file is enough to derive every figure of the record again.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]
from pydantic import ValidationError

from shared.errors import InvalidInput
from shared.measure.columns import CAME_LATER, COLUMNS, NOT_AVAILABLE
from shared.measure.manifest import Manifest

SCHEMA: Final = pa.schema([pa.field(name, getattr(pa, kind)(), nullable=False) for name, kind in COLUMNS.items()])
_OLDER_SCHEMAS: Final = tuple(
    pa.schema([field for field in SCHEMA if field.name not in CAME_LATER[known:]]) for known in range(len(CAME_LATER))
)
_MANIFEST: Final = b"inferbench.manifest"


@dataclass(frozen=True)
class Samples:
    """One run's raw file."""

    columns: dict[str, npt.NDArray[Any]]  # by name, each of shape (n,)
    manifest: Manifest | None  # None where the run was cut short before one was written


def write_samples(columns: Mapping[str, npt.NDArray[Any]], manifest: Manifest | None, path: Path) -> None:
    """Writes all columns; the file appears whole or not at all.

    Raises:
        InvalidInput: a column is missing, unknown or of another type.
    """
    found = {name: column.dtype.name for name, column in columns.items()}
    if found != COLUMNS:
        raise InvalidInput(f"samples must have the columns {COLUMNS}, found {found}")
    schema = SCHEMA if manifest is None else SCHEMA.with_metadata({_MANIFEST: manifest.model_dump_json()})
    table = pa.table({name: columns[name] for name in COLUMNS}, schema=schema)
    partial = path.with_name(path.name + ".partial")
    pq.write_table(table, partial, compression="zstd")
    partial.replace(path)


def read_samples(source: Path | BinaryIO) -> Samples:
    """The columns and the manifest.

    Raises:
        InvalidInput: this is not a samples file, or of another schema.
    """
    try:
        table = pq.read_table(source)
    except (OSError, pa.ArrowException) as error:
        raise InvalidInput(f"not a samples file: {error}") from error
    if any(table.schema.remove_metadata().equals(older) for older in _OLDER_SCHEMAS):
        table = _completed(table)
    if not table.schema.remove_metadata().equals(SCHEMA):
        raise InvalidInput(f"samples must have the columns {COLUMNS}, found {table.schema.to_string()}")
    text = (table.schema.metadata or {}).get(_MANIFEST)
    try:
        manifest = None if text is None else Manifest.model_validate_json(text)
    except ValidationError as error:
        raise InvalidInput(f"the manifest of the samples cannot be read: {error}") from error
    return Samples({name: np.asarray(table.column(name).to_numpy()) for name in COLUMNS}, manifest)


def _completed(older: Any) -> Any:
    """The table with the columns that came later."""
    for name in (name for name in CAME_LATER if name not in older.column_names):
        values = np.full(older.num_rows, NOT_AVAILABLE, COLUMNS[name])
        older = older.append_column(SCHEMA.field(name), pa.array(values))
    return older
