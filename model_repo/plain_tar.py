"""A model's folder as one file: an uncompressed tar of plain files and folders, read header by header and nothing else.

Source: POSIX.1-2001, pax, "ustar Interchange Format". Its extensions (long names, sparse files, links, pax records) are
not taken: ``write_archive`` writes none, and each is a way to make a reader do something else than it looks like.
"""

import stat
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Final

from shared.errors import InvalidModel, Problem

BLOCK_BYTES: Final = 512
MAX_ENTRIES: Final = 10_000
MAX_DEPTH: Final = 16

_FILE_KINDS: Final = (b"0", b"\0")
_FOLDER_KIND: Final = b"5"
_PACKED_BY: Final = "an uncompressed tar of plain files and folders, as `inferbench models push FOLDER` writes it"
_COPY_BYTES: Final = 1 << 20


@dataclass(frozen=True)
class Entry:
    """A file or folder of the archive. ``path`` is relative and has no dots."""

    path: PurePosixPath
    is_folder: bool
    offset: int  # of its first byte in the archive
    size_bytes: int


def read_archive(file: BinaryIO) -> tuple[Entry, ...]:
    """All entries of an archive that may be unpacked. Only headers are read.

    Raises:
        InvalidModel: not such an archive, or a hostile one.
    """
    entries = tuple(_entries(file))
    files = {entry.path for entry in entries if not entry.is_folder}
    if len({entry.path for entry in entries}) != len(entries):
        raise refused("the archive has two entries of one name", _PACKED_BY)
    for entry in entries:
        if files.intersection(entry.path.parents):
            raise refused(f"{entry.path} lies in what is a file", _PACKED_BY)
    return entries


def unpack_entries(file: BinaryIO, entries: Sequence[Entry], target: Path) -> None:
    """Writes what ``read_archive`` found into the folder ``target``, which is made.

    Raises:
        InvalidModel: a file is cut off.
    """
    target.mkdir()
    for entry in entries:
        path = target / entry.path
        (path if entry.is_folder else path.parent).mkdir(parents=True, exist_ok=True)
        if not entry.is_folder:
            _copy(file, entry, path)


def write_archive(folder: Path, target: Path) -> None:
    """Everything in ``folder``: sorted, without owners and times, so that equal models are equal.

    Raises:
        InvalidModel: it holds what is neither a file nor a folder.
    """
    with tarfile.open(target, "w", format=tarfile.USTAR_FORMAT) as archive:
        for path in sorted(folder.rglob("*")):
            _add(archive, path, path.relative_to(folder).as_posix())


def _add(archive: tarfile.TarFile, path: Path, name: str) -> None:
    found = path.lstat()
    member = tarfile.TarInfo(name)
    if stat.S_ISDIR(found.st_mode):
        member.type, member.mode = tarfile.DIRTYPE, 0o755
        archive.addfile(member)
        return
    if not stat.S_ISREG(found.st_mode):
        raise refused(f"{name} is neither a file nor a folder", "plain files and folders")
    member.size = found.st_size
    with path.open("rb") as content:
        archive.addfile(member, content)


def _copy(file: BinaryIO, entry: Entry, path: Path) -> None:
    file.seek(entry.offset)
    remaining = entry.size_bytes
    with path.open("xb") as out:
        while remaining:
            data = file.read(min(_COPY_BYTES, remaining))
            if not data:
                raise refused(f"{entry.path} is cut off", _PACKED_BY)
            out.write(data)
            remaining -= len(data)


def _entries(file: BinaryIO) -> Iterator[Entry]:
    """The headers in order, up to the end mark."""
    end, position, count = file.seek(0, 2), 0, 0
    while True:
        file.seek(position)
        block = file.read(BLOCK_BYTES)
        if len(block) < BLOCK_BYTES:
            raise refused(f"the archive ends at byte {end}, before its end mark", _PACKED_BY)
        if not any(block):
            return
        count += 1
        if count > MAX_ENTRIES:
            raise refused(f"the archive has more than {MAX_ENTRIES} entries", _PACKED_BY)
        entry = _entry(block, position + BLOCK_BYTES)
        position = entry.offset + -(-entry.size_bytes // BLOCK_BYTES) * BLOCK_BYTES
        if position > end:
            raise refused(f"{entry.path} claims {entry.size_bytes} bytes, more than the archive has", _PACKED_BY)
        if entry.path.parts:  # else the folder itself, "./"
            yield entry


def _entry(block: bytes, offset: int) -> Entry:
    """One header block."""
    as_summed = block[:148] + b" " * 8 + block[156:]
    if block[257:262] != b"ustar" or sum(as_summed) != _number(block[148:156]):
        raise refused(f"no header of a tar archive at byte {offset - BLOCK_BYTES}", _PACKED_BY)
    kind = block[156:157]
    if kind not in (*_FILE_KINDS, _FOLDER_KIND):
        raise refused(f"an entry of kind {kind!r}, such as a link or an extension", _PACKED_BY)
    prefix = _text(block[345:500]) if block[257:263] == b"ustar\0" else ""  # GNU keeps other things there
    name = f"{prefix}/{_text(block[:100])}" if prefix else _text(block[:100])
    is_folder = kind == _FOLDER_KIND
    return Entry(_path(name), is_folder, offset, 0 if is_folder else _number(block[124:136]))


def _path(name: str) -> PurePosixPath:
    path = PurePosixPath(name)
    hostile = path.is_absolute() or ".." in path.parts or "\\" in name or not name.isprintable()
    if not name or hostile or len(path.parts) > MAX_DEPTH:
        raise refused(f"an entry named {name!r:.200}", "relative paths without '..'")
    return path


def _text(field: bytes) -> str:
    try:
        return field.split(b"\0", 1)[0].decode()
    except UnicodeDecodeError as error:
        raise refused(f"a name that is no text: {field[:40]!r}", _PACKED_BY) from error


def _number(field: bytes) -> int:
    """Octal digits; the binary form of large numbers is an extension."""
    digits = field.rstrip(b"\0 ").lstrip(b" ")
    if not digits or digits.strip(b"01234567"):
        raise refused(f"a number that is not octal: {field!r}", _PACKED_BY)
    return int(digits, 8)


def refused(message: str, allowed: str) -> InvalidModel:
    """With what would be right."""
    problem = Problem(path="model", message=message, allowed=allowed)
    return InvalidModel(f"The model is refused: {problem}", problems=[problem])
