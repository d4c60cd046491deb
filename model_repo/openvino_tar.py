"""A model in OpenVINO's own format as one file: ``model.xml`` and ``model.bin`` in a plain archive (``plain_tar``)."""

from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Final

from model_repo.cards import TensorCard
from model_repo.openvino_xml import read_graph
from model_repo.plain_tar import Entry, read_archive, refused, unpack_entries, write_archive

GRAPH_FILE: Final = "model.xml"
WEIGHTS_FILE: Final = "model.bin"
MAX_GRAPH_BYTES: Final = 32 << 20  # a network of a thousand layers has some 1 MB

_HOLDS: Final = f"{GRAPH_FILE} and {WEIGHTS_FILE}, as openvino.save_model writes them, and nothing else"


@dataclass(frozen=True)
class OpenVinoFacts:
    """What the graph and the table of contents say."""

    inputs: tuple[TensorCard, ...]
    outputs: tuple[TensorCard, ...]
    weight_bytes: int


def check_openvino(file: BinaryIO) -> OpenVinoFacts:
    """Reads the archive's headers and the graph; the weights are not looked at, only that all of them are there.

    Raises:
        InvalidModel: not such an archive, a hostile one, or a graph that OpenVINO did not write.
    """
    found = _entries(file)
    graph, weights = found[GRAPH_FILE], found[WEIGHTS_FILE]
    if graph.size_bytes > MAX_GRAPH_BYTES:
        raise refused(f"{GRAPH_FILE} takes {graph.size_bytes} bytes", f"at most {MAX_GRAPH_BYTES}")
    file.seek(graph.offset)
    read = read_graph(file.read(graph.size_bytes))
    if read.weight_bytes > weights.size_bytes:
        message = f"the graph uses {read.weight_bytes} bytes of {WEIGHTS_FILE}, which has {weights.size_bytes}"
        raise refused(message, "the two files that were written together")
    return OpenVinoFacts(read.inputs, read.outputs, weights.size_bytes)


def unpack(archive: Path, folder: Path) -> Path:
    """Writes both files into ``folder``/model, which must not be there; answers that folder.

    Raises:
        InvalidModel: not such an archive; nothing has been written then.
    """
    target = folder / "model"
    with archive.open("rb") as file:
        unpack_entries(file, tuple(_entries(file).values()), target)
    return target


def pack(folder: Path, target: Path) -> None:
    """Writes the folder as an archive.

    Raises:
        InvalidModel: it holds anything but the two files.
    """
    if {path.name for path in folder.iterdir()} != {GRAPH_FILE, WEIGHTS_FILE}:
        raise refused(f"{folder} is no folder of one model", _HOLDS)
    write_archive(folder, target)


def _entries(file: BinaryIO) -> dict[str, Entry]:
    entries = read_archive(file)
    wanted = {PurePosixPath(GRAPH_FILE), PurePosixPath(WEIGHTS_FILE)}
    if any(entry.is_folder for entry in entries) or {entry.path for entry in entries} != wanted:
        raise refused("the archive holds something else than a model of OpenVINO", _HOLDS)
    return {entry.path.name: entry for entry in entries}
