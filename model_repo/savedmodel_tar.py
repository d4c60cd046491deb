"""A SavedModel as one file: its folder as a plain archive (``plain_tar``)."""

from pathlib import Path, PurePosixPath
from typing import BinaryIO, Final

from model_repo.plain_tar import Entry, read_archive, refused, unpack_entries, write_archive

GRAPH_FILE: Final = "saved_model.pb"
INDEX_FILE: Final = "variables/variables.index"


def check_savedmodel(file: BinaryIO) -> tuple[Entry, ...]:
    """All entries of an archive that may be unpacked and holds a SavedModel. Only headers are read.

    Raises:
        InvalidModel: not such an archive, or a hostile one.
    """
    entries = read_archive(file)
    files = {entry.path for entry in entries if not entry.is_folder}
    for name in (GRAPH_FILE, INDEX_FILE):
        if PurePosixPath(name) not in files:
            raise refused(f"the archive holds no {name}", f"a SavedModel's {GRAPH_FILE} and variables at the top")
    return entries


def unpack(archive: Path, folder: Path) -> Path:
    """Writes the archive's files into ``folder``/model, which must not be there; answers that folder.

    Raises:
        InvalidModel: as ``check_savedmodel``; nothing has been written then.
    """
    target = folder / "model"
    with archive.open("rb") as file:
        unpack_entries(file, check_savedmodel(file), target)
    return target


def pack(folder: Path, target: Path) -> None:
    """Writes a SavedModel's folder as an archive.

    Raises:
        InvalidModel: not a SavedModel, or it holds what is neither a file nor a folder.
    """
    for name in (GRAPH_FILE, INDEX_FILE):
        if not (folder / name).is_file():
            raise refused(f"{folder} holds no {name}", "the folder of one version of a SavedModel")
    write_archive(folder, target)
