"""Where the hot path writes its samples: one packed record per request, at the place of its number."""

import struct
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from shared.measure.columns import COLUMNS

RECORD: Final = np.dtype([(name, np.dtype(kind).newbyteorder("<")) for name, kind in COLUMNS.items()])
"""One request, packed, in the order of COLUMNS."""

_PACK: Final = struct.Struct(
    "<" + "".join({"int64": "q", "int32": "i", "int16": "h"}[kind] for kind in COLUMNS.values())
)
_BLOCK: Final = 1 << 16  # records in a block: 7 MB; a full block never has to be copied


class SampleTable:
    """Grows by blocks, so that a closed loop of unknown length never copies what it has.

    One ``pack_into`` writes a record: numpy's own item assignment would cost as much for every field.
    """

    def __init__(self, expected: int) -> None:
        self._blocks: list[npt.NDArray[np.void]] = []
        self._count = 0
        while len(self._blocks) * _BLOCK <= expected:
            self._add_block()

    def write(self, row: int, *values: int) -> None:
        """Sets record ``row``; ``values`` are in the order of COLUMNS. Rows may come in any order."""
        block, place = divmod(row, _BLOCK)
        while block >= len(self._blocks):
            self._add_block()
        _PACK.pack_into(self._blocks[block].data, place * RECORD.itemsize, *values)
        self._count = max(self._count, row + 1)

    def columns(self) -> dict[str, npt.NDArray[Any]]:
        """The written columns, each of shape (n,), with the types of COLUMNS."""
        records = np.concatenate(self._blocks)[: self._count]
        return {name: np.ascontiguousarray(records[name]) for name in COLUMNS}

    def _add_block(self) -> None:
        block = np.zeros(_BLOCK, dtype=RECORD)
        block.view(np.uint8)[::4096] = 0  # touches every page now, so that no write has to wait for the kernel
        self._blocks.append(block)
