"""The model's file in the page cache: read into it, dropped from it, and how much of it is there. Needs no root."""

import ctypes
import mmap
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Literal

_READ_BYTES: Final = 1 << 20
_RESIDENT: Final = 1  # mincore(2): the lowest bit of each page's byte

_LIBC: Final = ctypes.CDLL(None, use_errno=True)


def put(model: Path, cache: Literal["warm", "cold"]) -> None:
    """Bring the model's files into the page cache, or out of it.

    Dirty pages are not dropped (posix_fadvise(2)), so they are written back first. A kernel may keep pages that
    somebody has mapped; ``cached_share`` tells.

    Raises:
        OSError: a file cannot be read.
    """
    for path in _files(model):
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            if cache == "warm":
                while os.read(descriptor, _READ_BYTES):
                    pass
            else:
                os.fsync(descriptor)
                os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(descriptor)


def cached_share(model: Path) -> float | None:
    """Share of the model's pages that are in the page cache, from 0 to 1; None where the kernel does not tell."""
    found = [_resident(path) for path in _files(model)]
    counts = [one for one in found if one is not None]
    pages = sum(total for _, total in counts)
    return sum(resident for resident, _ in counts) / pages if pages and len(counts) == len(found) else None


def _files(model: Path) -> Iterator[Path]:
    """The file, or everything in the folder of a model that is one."""
    if model.is_file():
        yield model
    else:
        yield from (path for path in sorted(model.rglob("*")) if path.is_file())


def _resident(path: Path) -> tuple[int, int] | None:
    """Pages in memory, and all pages, by mincore(2); a private mapping of a file tells of the page cache."""
    size = path.stat().st_size
    pages = -(-size // mmap.PAGESIZE)
    if not size:
        return 0, 0
    answer = (ctypes.c_ubyte * pages)()
    with path.open("rb") as file, mmap.mmap(file.fileno(), size, access=mmap.ACCESS_COPY) as mapped:
        first = ctypes.c_char.from_buffer(mapped)
        failed = _LIBC.mincore(ctypes.c_void_p(ctypes.addressof(first)), ctypes.c_size_t(size), answer)
        del first  # the mapping cannot be closed while something points into it
    return None if failed else (sum(page & _RESIDENT for page in answer), pages)
