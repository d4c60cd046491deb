"""Decides whether an uploaded TorchScript archive may be served, without loading it: no torch import, no pickle.

Only the archive's table of contents is read, and one small JSON file in it. Weights are stored as they are, so their
sizes are what the table says; what is compressed is program text, whose unpacked size is bounded.
"""

import struct
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import BinaryIO, Final

from model_repo.torch_signature import MAX_SIGNATURE_BYTES, SIGNATURE_FILE, Signature, parse_signature
from shared.errors import InvalidModel, Problem

MAX_ENTRIES: Final = 200_000  # a network of a thousand layers has some 10,000
MAX_PACKED_BYTES: Final = 256 << 20  # of everything that is compressed, unpacked
_ENCRYPTED: Final = 0x1
_DIRECTORY_BYTES: Final = 46  # least that an entry takes in the table of contents (APPNOTE.TXT 4.3.12)


@dataclass(frozen=True)
class TorchScriptFacts:
    """What the archive's table of contents says."""

    signature: Signature
    weight_bytes: int


def check_torchscript(file: BinaryIO) -> TorchScriptFacts:
    """Reads the table of contents and the signature.

    Raises:
        InvalidModel: not an archive of ``torch.jit.save``, a hostile one, or one without a signature.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            entries = archive.infolist()
            root = _checked_root(entries, size_bytes=file.seek(0, 2))
            signature = parse_signature(_signature_text(archive, f"{root}/extra/{SIGNATURE_FILE}"))
    except (zipfile.BadZipFile, struct.error, UnicodeDecodeError, EOFError, OSError) as error:
        raise _refused(f"not a zip archive that can be read: {error}", _SAVED_BY) from error
    except (ValueError, OverflowError, RuntimeError) as error:
        raise _refused(f"its table of contents is damaged: {error}", _SAVED_BY) from error
    weights = (f"{root}/data/", f"{root}/constants/")
    return TorchScriptFacts(signature, sum(each.file_size for each in entries if each.filename.startswith(weights)))


_SAVED_BY: Final = "a file that torch.jit.save wrote"


def _checked_root(entries: Sequence[zipfile.ZipInfo], *, size_bytes: int) -> str:
    """The archive's one folder. Raises InvalidModel for whatever ``torch.jit.save`` does not write."""
    if not 0 < len(entries) <= MAX_ENTRIES:
        raise _refused(f"the archive has {len(entries)} entries", f"1 to {MAX_ENTRIES}")
    names = [entry.filename for entry in entries]
    if len(set(names)) != len(names):
        raise _refused("the archive has two entries of one name", _SAVED_BY)
    for name in names:
        if name.startswith("/") or "\\" in name or ".." in PurePosixPath(name).parts:
            raise _refused(f"entry {name[:100]!r} points out of the archive", "names below one folder")
    roots = {(*PurePosixPath(name).parts, "")[0] for name in names}  # a name may be empty
    root = roots.pop() if len(roots) == 1 else ""
    if not root or f"{root}/constants.pkl" not in names or not any(each.startswith(f"{root}/code/") for each in names):
        raise _refused(
            "the archive holds no program; torch.save writes weights and Python objects only",
            "torch.jit.save(torch.jit.script(module), path)",
        )
    _check_sizes(entries, size_bytes)
    return root


def _check_sizes(entries: Sequence[zipfile.ZipInfo], size_bytes: int) -> None:
    stored_bytes = packed_bytes = 0
    for entry in entries:
        if entry.flag_bits & _ENCRYPTED or entry.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
            raise _refused(f"entry {entry.filename[:100]!r} is encrypted or packed in an unusual way", _SAVED_BY)
        if entry.compress_type == zipfile.ZIP_STORED:
            if entry.file_size != entry.compress_size:
                raise _refused(f"entry {entry.filename[:100]!r} is stored and has two sizes", _SAVED_BY)
            stored_bytes += entry.file_size
        else:
            packed_bytes += entry.file_size
    if stored_bytes + len(entries) * _DIRECTORY_BYTES > size_bytes:
        raise _refused("its entries are larger than the file: they overlap", _SAVED_BY)
    if packed_bytes > MAX_PACKED_BYTES:
        raise _refused(f"its program unpacks to {packed_bytes} bytes", f"at most {MAX_PACKED_BYTES} bytes")


def _signature_text(archive: zipfile.ZipFile, name: str) -> bytes:
    """Empty where there is none."""
    if name not in archive.namelist():
        return b""
    with archive.open(name) as file:
        text = file.read(MAX_SIGNATURE_BYTES + 1)
    if len(text) > MAX_SIGNATURE_BYTES:
        raise _refused(f"{SIGNATURE_FILE} is too long", f"at most {MAX_SIGNATURE_BYTES} bytes")
    return text


def _refused(message: str, allowed: str) -> InvalidModel:
    problem = Problem(message=message, allowed=allowed)
    return InvalidModel(f"The model is refused: {problem}", problems=[problem])
