"""Where the hot path writes its samples: one packed record per request, at the place of its number, in shared memory.

The table is a memory file that the parent made: the parent can read the rows of a run that is still going on, and
those of a sender that was killed.
"""

import mmap
import os
import struct
from typing import Final

import numpy as np
import numpy.typing as npt

from shared.measure.columns import COLUMNS

ROW_BYTES: Final = 192
"""Three cache lines, so that no row shares one."""

_CODES: Final = {"int64": "q", "int32": "i", "int16": "h"}
_LAYOUT: Final = "<" + "".join(_CODES[kind] for kind in COLUMNS.values()) + "b"
_PACK: Final = struct.Struct(f"{_LAYOUT}{ROW_BYTES - struct.calcsize(_LAYOUT)}x")

RECORD: Final = np.dtype(
    {
        "names": [*COLUMNS, "written"],
        "formats": [np.dtype(kind).newbyteorder("<") for kind in COLUMNS.values()] + [np.dtype("i1")],
        "offsets": np.cumsum([0, *(np.dtype(kind).itemsize for kind in COLUMNS.values())]).tolist(),
        "itemsize": ROW_BYTES,
    }
)
"""One request in the order of COLUMNS; ``written`` comes last and is 1 once the rest is there."""

_BLOCK_ROWS: Final = 1 << 13  # 1.5 MB, whole pages; a full block never has to be copied
_BLOCK_BYTES: Final = _BLOCK_ROWS * ROW_BYTES


def new_table_file(name: str) -> int:
    """The descriptor of an empty table; it lives in memory until every process has closed it."""
    return os.memfd_create(name, os.MFD_CLOEXEC)


class SampleTable:
    """Grows by blocks, so that a closed loop of unknown length never copies what it has.

    One ``pack_into`` writes a record: numpy's own item assignment would cost as much for every field.
    """

    def __init__(self, file: int, expected: int) -> None:
        """Maps room for ``expected`` rows and touches all of it, so that no write of those waits for the kernel."""
        self._file = file
        self._blocks: list[mmap.mmap] = []
        blocks = expected // _BLOCK_ROWS + 1
        os.ftruncate(file, blocks * _BLOCK_BYTES)
        for _ in range(blocks):
            self._map_next(mmap.MAP_SHARED | mmap.MAP_POPULATE)

    def write(self, row: int, *values: int) -> None:
        """Sets record ``row``; ``values`` are in the order of COLUMNS. Rows may come in any order."""
        if row >> 13 >= len(self._blocks):
            self._grow(row >> 13)
        _PACK.pack_into(self._blocks[row >> 13], (row & 0x1FFF) * ROW_BYTES, *values, 1)

    def _grow(self, block: int) -> None:
        """Maps without touching: 3 us for a new page once in 21 rows are better than a millisecond at once."""
        os.ftruncate(self._file, (block + 1) * _BLOCK_BYTES)
        while block >= len(self._blocks):
            self._map_next(mmap.MAP_SHARED)

    def _map_next(self, flags: int) -> None:
        place = len(self._blocks) * _BLOCK_BYTES
        self._blocks.append(mmap.mmap(self._file, _BLOCK_BYTES, flags=flags, offset=place))


class WrittenRows:
    """The reader's side of a table: sees rows as they are written, by whichever process."""

    def __init__(self, file: int) -> None:
        self._file = file
        self._rows = np.zeros(0, dtype=RECORD)

    def rows(self) -> npt.NDArray[np.void]:
        """All the room that the table has now, as RECORD, shape (rows,); ``written`` says which are rows."""
        size = os.fstat(self._file).st_size
        if size > self._rows.nbytes:
            self._rows = np.frombuffer(mmap.mmap(self._file, size, prot=mmap.PROT_READ), dtype=RECORD)
        return self._rows

    def numbers(self) -> npt.NDArray[np.int64]:
        """The numbers of the rows that are there, ascending."""
        return np.flatnonzero(self.rows()["written"]).astype(np.int64)

    def all(self) -> npt.NDArray[np.void]:
        """The rows that are there, in the order of their numbers; without a copy where none is missing."""
        rows = self.rows()
        present = np.flatnonzero(rows["written"])
        count = len(present)
        return rows[:count] if count == 0 or present[-1] == count - 1 else rows[present]
