"""Raw samples on disk: one Parquet file with exactly the columns of ``shared.measure.columns``."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]

from shared.errors import InvalidInput
from shared.measure.columns import COLUMNS

SCHEMA: Final = pa.schema([pa.field(name, getattr(pa, kind)(), nullable=False) for name, kind in COLUMNS.items()])


def write_samples(columns: Mapping[str, npt.NDArray[Any]], path: Path) -> None:
    """Writes all columns; the file appears whole or not at all.

    Raises:
        InvalidInput: a column is missing, unknown or of another type.
    """
    found = {name: column.dtype.name for name, column in columns.items()}
    if found != COLUMNS:
        raise InvalidInput(f"samples must have the columns {COLUMNS}, found {found}")
    table = pa.table({name: columns[name] for name in COLUMNS}, schema=SCHEMA)
    partial = path.with_name(path.name + ".partial")
    pq.write_table(table, partial, compression="zstd")
    partial.replace(path)


def read_samples(path: Path) -> dict[str, npt.NDArray[Any]]:
    """The columns by name, each of shape (n,).

    Raises:
        InvalidInput: this is not a samples file, or of another schema.
    """
    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise InvalidInput(f"{path.name} is not a samples file: {error}") from error
    if not table.schema.equals(SCHEMA):
        raise InvalidInput(f"{path.name} must have the columns {COLUMNS}, found {table.schema.to_string()}")
    return {name: np.asarray(table.column(name).to_numpy()) for name in COLUMNS}
