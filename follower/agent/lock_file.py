"""One lock file in a directory that all users of a machine share, and in which none of them is trusted."""

import errno
import fcntl
import json
import os
import stat
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from shared.errors import InvalidInput

DIRECTORY_MODE: Final = 0o1777  # as /tmp: everybody may add files, nobody may remove another's
FILE_MODE: Final = 0o666
_PLAIN: Final = os.O_NOFOLLOW | os.O_CLOEXEC
_NOT_PLAIN: Final = {errno.ELOOP: "a symbolic link", errno.EISDIR: "a directory", errno.ENOTDIR: "not a directory"}
_MOST_BYTES: Final = 4096
_LONGEST_WORD: Final = 200


@dataclass(frozen=True, kw_only=True)
class Holder:
    """Who has a lock, for those to read who find it taken. Nothing is decided by it."""

    pid: int
    follower: str
    work_dir: str
    incarnation: str


class Busy(Exception):
    """The lock cannot be had now; perhaps in a moment."""


def lock_file(directory: Path, name: str, holder: Holder) -> int:
    """The descriptor of the file ``name``, made and locked; the lock ends with the last copy of the descriptor.

    Raises:
        Busy: somebody else has the lock.
        InvalidInput: other users could put another file in its place, or it is no plain file.
        OSError: it cannot be made or opened.
    """
    folder = _open_directory(directory)
    try:
        file = _open_file(folder, name, directory / name)
        try:
            _lock(file, folder, name)
            os.ftruncate(file, 0)
            os.pwrite(file, json.dumps(asdict(holder)).encode() + b"\n", 0)
        except BaseException:
            os.close(file)
            raise
        return file
    finally:
        os.close(folder)


def holder_of(directory: Path, name: str) -> str | None:
    """In words, who has the lock of the file ``name``; None where nobody has. Nothing is made, and nothing kept.

    Raises:
        OSError: it cannot be opened.
    """
    file = os.open(directory / name, os.O_RDONLY | os.O_NONBLOCK | _PLAIN)
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _described(_read(file))
    finally:
        os.close(file)
    return None


def let_go(file: int) -> None:
    """Close our copy of the descriptor. The file stays: one that is removed may be locked twice."""
    os.close(file)


def _open_directory(directory: Path) -> int:
    """The directory, made where it is not there; closed to others until it is as it should be."""
    directory.parent.mkdir(parents=True, exist_ok=True)
    made = False
    with suppress(FileExistsError):
        directory.mkdir(0o700)
        made = True
    try:
        folder = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | _PLAIN)
    except PermissionError as error:
        raise Busy(f"{directory} is closed to this user") from error
    except OSError as error:
        raise _refused(error, directory) from error
    try:
        if made:
            os.fchmod(folder, DIRECTORY_MODE)  # past the umask
        _require_trusted(os.fstat(folder), directory)
    except BaseException:
        os.close(folder)
        raise
    return folder


def _require_trusted(found: os.stat_result, directory: Path) -> None:
    """Nobody but its owner may be able to put another file in the place of one that is locked."""
    if found.st_mode & stat.S_ISVTX:
        return
    if found.st_uid not in {0, os.geteuid()} or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise InvalidInput(
            f"locks in {directory} mean nothing, because other users can replace its files (owner {found.st_uid},"
            f" mode {stat.S_IMODE(found.st_mode):o}): make it sticky (chmod 1777) or choose another directory"
        )


def _open_file(folder: int, name: str, path: Path) -> int:
    """The open file, made where it is not there.

    Linux refuses ``O_CREAT`` on another user's file in a sticky directory (fs.protected_regular), so that is never
    asked for together with an existing file.
    """
    try:
        while True:
            with suppress(FileNotFoundError):
                return _plain(os.open(name, os.O_RDWR | os.O_NONBLOCK | _PLAIN, dir_fd=folder), path)
            with suppress(FileExistsError):
                file = os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL | _PLAIN, FILE_MODE, dir_fd=folder)
                os.fchmod(file, FILE_MODE)
                return file
    except PermissionError as error:
        raise Busy(f"{path} is closed to this user") from error
    except OSError as error:
        raise _refused(error, path) from error


def _plain(file: int, path: Path) -> int:
    """The file, which is to be written: no device, no pipe, and not another file under a second name."""
    found = os.fstat(file)
    if stat.S_ISREG(found.st_mode) and found.st_nlink <= 1:
        return file
    os.close(file)
    raise InvalidInput(f"{path} is not a plain file with one name; remove it or choose another directory")


def _refused(error: OSError, path: Path) -> InvalidInput | OSError:
    what = _NOT_PLAIN.get(error.errno or 0)
    return error if what is None else InvalidInput(f"{path} is {what}; remove it or choose another directory")


def _lock(file: int, folder: int, name: str) -> None:
    """Lock it, and be sure that it is still the one that others would open."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise Busy(_described(_read(file))) from error
    try:
        there = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError as error:
        raise Busy(f"{name} was removed at this moment") from error
    if not os.path.samestat(there, os.fstat(file)):
        raise Busy(f"{name} was replaced at this moment")


def _read(file: int) -> dict[str, object]:
    """What the holder wrote; nothing where it is not to be understood."""
    with suppress(OSError, ValueError):
        found = json.loads(os.pread(file, _MOST_BYTES, 0))
        if isinstance(found, dict):
            return found
    return {}


def _described(found: dict[str, object]) -> str:
    """In words. Everybody may write into the file, so nothing of it is taken to be short or printable."""
    pid, follower, work_dir = (_word(found.get(key, "")) for key in ("pid", "follower", "work_dir"))
    if not pid or not follower:
        return "a process that does not say who it is"
    return f"follower {follower!r}, pid {pid}, in {work_dir}"


def _word(value: object) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in str(value)[:_LONGEST_WORD])
