"""What a graph file of OpenVINO says of its tensors: read as text, element by element; nothing is loaded.

Source: OpenVINO's documentation, "Operation Sets in OpenVINO" and "OpenVINO IR format": a network is ``layers`` with
numbered ports and ``edges`` between them; inputs are layers of type Parameter, outputs of type Result.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from xml.parsers import expat

from model_repo.cards import TensorCard
from model_repo.plain_tar import refused

DATATYPES: Final[Mapping[str, str]] = {
    "BOOL": "BOOL", "U8": "UINT8", "U16": "UINT16", "U32": "UINT32", "U64": "UINT64", "I8": "INT8", "I16": "INT16",
    "I32": "INT32", "I64": "INT64", "FP16": "FP16", "FP32": "FP32", "FP64": "FP64", "BF16": "BF16",
}  # fmt: skip
"""As ports spell them."""

_LAYER: Final = ("net", "layers", "layer")
_EDGE: Final = ("net", "edges", "edge")
_WRITTEN_BY: Final = "a graph that openvino.save_model wrote"
_MAX_DEPTH: Final = 64  # bodies of loops lie in their layers


@dataclass(frozen=True)
class Graph:
    """A network's tensors, in the order of the file."""

    inputs: tuple[TensorCard, ...]
    outputs: tuple[TensorCard, ...]
    weight_bytes: int  # up to where its constants reach into the file of weights


@dataclass
class _Port:
    layer: str
    number: str
    precision: str
    names: str
    shape: list[int]


def read_graph(text: bytes) -> Graph:
    """The graph of ``model.xml``. Document type definitions, with which XML can be made to grow, are not taken.

    Raises:
        InvalidModel: not such a file.
    """
    reader = _Reader()
    try:
        reader.parser.Parse(text, True)
        return reader.graph()
    except expat.ExpatError as error:
        raise refused(f"its graph is no XML that can be read: {error}", _WRITTEN_BY) from error
    except (KeyError, ValueError) as error:
        raise refused(f"its graph is not a network of OpenVINO: {error!r:.200}", _WRITTEN_BY) from error


class _Reader:
    """Follows the elements of the outermost network; what lies deeper, such as a loop's body, is passed over."""

    def __init__(self) -> None:
        self._path: list[str] = []
        self._layer: Mapping[str, str] = {}
        self._parameters: list[str] = []
        self._results: dict[str, str] = {}  # layer -> names that it gives its tensor
        self._ports: dict[tuple[str, str], _Port] = {}
        self._sources: dict[str, tuple[str, str]] = {}  # layer of a result -> the port that it takes
        self._port: _Port | None = None
        self._weight_bytes = 0
        self.parser = expat.ParserCreate("UTF-8")  # whatever it declares
        self.parser.StartDoctypeDeclHandler = _refuse_doctype
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._text
        self.parser.buffer_text = True

    def graph(self) -> Graph:
        """Once everything is read."""
        if not self._parameters or not self._results:
            raise ValueError("no inputs or no outputs")
        outputs = [(self._ports[self._sources[layer]], names) for layer, names in self._results.items()]
        return Graph(
            inputs=tuple(_card(port, port.names) for layer in self._parameters for port in self._of(layer)),
            outputs=tuple(_card(port, names or port.names) for port, names in outputs),
            weight_bytes=self._weight_bytes,
        )

    def _of(self, layer: str) -> list[_Port]:
        return [port for port in self._ports.values() if port.layer == layer]

    def _start(self, name: str, attributes: Mapping[str, str]) -> None:
        self._path.append(name)
        if len(self._path) > _MAX_DEPTH:
            raise ValueError(f"elements lie more than {_MAX_DEPTH} deep")
        if (path := tuple(self._path)) == _LAYER:
            self._start_layer(attributes)
        elif path == (*_LAYER, "output", "port"):
            self._start_port(attributes)
        elif path == _EDGE and attributes["to-layer"] in self._results:
            self._sources[attributes["to-layer"]] = (attributes["from-layer"], attributes["from-port"])
        elif path[-1] == "data" and "offset" in attributes and "size" in attributes:
            self._weight_bytes = max(self._weight_bytes, int(attributes["offset"]) + int(attributes["size"]))

    def _start_layer(self, attributes: Mapping[str, str]) -> None:
        self._layer = attributes
        if attributes["type"] == "Parameter":
            self._parameters.append(attributes["id"])
        elif attributes["type"] == "Result":
            self._results[attributes["id"]] = attributes.get("output_names", "")

    def _start_port(self, attributes: Mapping[str, str]) -> None:
        port = _Port(self._layer["id"], attributes["id"], attributes["precision"], attributes.get("names", ""), [])
        self._port = self._ports[port.layer, port.number] = port

    def _end(self, _name: str) -> None:
        if self._path[-1] == "port":
            self._port = None
        self._path.pop()

    def _text(self, text: str) -> None:
        if self._port is not None and self._path[-1] == "dim":
            self._port.shape.append(int(text))


def _refuse_doctype(*_declared: object) -> None:
    raise refused("its graph declares a document type", _WRITTEN_BY)


def _card(port: _Port, names: str) -> TensorCard:
    """Several names are told apart by commas; OpenVINO answers to the first of them in the alphabet."""
    name = min(names.split(","))
    shape = tuple(max(-1, size) for size in port.shape)
    return TensorCard.model_validate({"name": name, "datatype": DATATYPES[port.precision], "shape": shape})
