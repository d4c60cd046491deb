"""What one stored tensor of an ONNX file holds, or why it is refused. Its data is never read."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import PurePosixPath, PureWindowsPath
from typing import Final

from model_repo.onnx_facts import ELEMENT_TYPES, STRING_TYPE
from model_repo.onnx_walk import Leaves
from model_repo.protobuf_wire import WireError
from shared.errors import Problem

MAX_ELEMENTS: Final = 1 << 40
MAX_SIZE_DIGITS: Final = 15  # below a petabyte
LONGEST_SHOWN: Final = 200
VARINT_SAVING: Final = 8  # the least bytes of a stored int64 are one

PATH_FAULTS: Final[tuple[tuple[Callable[[str], bool], str], ...]] = (
    (lambda path: ".." in PureWindowsPath(path).parts, "its path climbs out with '..'"),
    (lambda path: PurePosixPath(path).is_absolute() or bool(PureWindowsPath(path).anchor), "its path is absolute"),
    (lambda path: "\\" in path, "its path has a backslash"),
    (lambda path: path.startswith("*/_ORT_MEM_ADDR_/*"), "it names a memory address"),
)


@dataclass(frozen=True)
class StoredTensor:
    """A tensor inside the file."""

    size_bytes: int
    parameters: int  # elements, where they are floating-point numbers


def external_data(leaves: Leaves) -> Problem | None:
    """The refusal of a tensor that points outside the file, naming every trick in the reference."""
    entries: Mapping[str, str] = dict(leaves.get("external_data", ()))
    if not entries and not any(leaves.get("data_location", ())):
        return None
    location = entries.get("location", "")
    faults = [fault for applies, fault in PATH_FAULTS if applies(location)]
    faults += [
        f"its {key} is {entries[key][:40]!r}"
        for key in ("offset", "length")
        if key in entries and not _is_size(entries[key])
    ]
    reasons = f": {'; '.join(faults)}" if faults else ""
    return Problem(
        message=f"{shown(leaves)} keeps its data in another file{reasons}",
        found=location[:LONGEST_SHOWN],
        allowed="a model in one file, with all tensors inside",
    )


def stored(leaves: Leaves) -> StoredTensor:
    """Size of a tensor inside the file, from its shape, which must fit the bytes that are there.

    Raises:
        WireError: Unknown element type, impossible shape, or a shape that the stored bytes cannot fill.
    """
    dims = leaves.get("dims", [])
    (data_type,) = leaves.get("data_type", [0])
    if data_type not in ELEMENT_TYPES:
        raise WireError(f"{shown(leaves)} has the unknown element type {data_type}")
    if any(not 0 <= size <= MAX_ELEMENTS for size in dims) or prod(dims) > MAX_ELEMENTS:
        raise WireError(f"{shown(leaves)} has the impossible shape {dims[:8]}")
    if data_type == STRING_TYPE:
        return StoredTensor(sum(leaves.get("string_data", ())), 0)
    element = ELEMENT_TYPES[data_type]
    size = (prod(dims) * element.bits + 7) // 8
    _check_filled(leaves, size)
    return StoredTensor(size, prod(dims) if element.floating else 0)


def shown(leaves: Leaves) -> str:
    """How a message names the tensor."""
    (name,) = leaves.get("name", [""])
    return f"tensor {name[:LONGEST_SHOWN]!r}" if name else "a tensor without a name"


def _check_filled(leaves: Leaves, size: int) -> None:
    raw, typed = leaves.get("raw_data"), sum(leaves.get("typed_data", ()))
    if raw is not None and raw[0] != size:
        raise WireError(f"{shown(leaves)} holds {raw[0]} bytes where its shape needs {size}")
    if raw is None and typed * VARINT_SAVING < size:
        raise WireError(f"{shown(leaves)} holds {typed} bytes where its shape needs {size}")


def _is_size(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= MAX_SIZE_DIGITS
