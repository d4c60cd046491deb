"""Decides whether an uploaded ONNX file may be served, without loading it: no onnx import, no tensor is read.

A model is one file, so a reference to any other file is refused; so are operators that need a custom library.
A file is hostile until shown otherwise: whatever is not well-formed ends as ``InvalidModel`` and as no other error.
"""

from typing import Any, BinaryIO, Final

from model_repo.onnx_facts import ELEMENT_TYPES, OnnxFacts, TensorFacts
from model_repo.onnx_tensors import external_data, stored
from model_repo.onnx_walk import Leaves, Readers, Walk
from model_repo.protobuf_wire import WireError, WireReader
from shared.errors import InvalidModel, Problem

ALLOWED_DOMAINS: Final = frozenset({"ai.onnx", "ai.onnx.ml", "com.microsoft"})
"""Operators that ONNX Runtime has built in; any other domain needs a library of the model's author."""

MAX_FIELDS: Final = 5_000_000  # the graph of a large language model has some 100,000
MAX_PROBLEMS: Final = 20
MAX_VERSION: Final = 1000

Value = tuple[str, tuple[int, tuple[int, ...]] | None]
"""A graph's input or output: name, and element type and shape where it is a tensor of known rank."""


def check_onnx(file: BinaryIO) -> OnnxFacts:
    """Reads the structure of an ONNX model from a seekable binary file.

    Time grows with the number of protobuf fields, of which there are at most ``MAX_FIELDS``; call it in a thread.

    Raises:
        InvalidModel: Not ONNX, truncated, with external data, with custom operators, or built to exhaust a reader.
    """
    inspection = _Inspection()
    try:
        model = Walk(WireReader(file, max_fields=MAX_FIELDS), inspection.readers()).model()
        facts = inspection.facts(model)
    except WireError as error:
        problem = Problem(message=f"not a complete ONNX file: {error}")
        raise InvalidModel(f"The model is {problem}", problems=[problem]) from None
    if inspection.problems:
        raise InvalidModel(f"The model is refused: {inspection.problems[0]}", problems=inspection.problems)
    return facts


class _Inspection:
    """What the messages of one file mean."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self._operators: set[tuple[str, str]] = set()  # (domain, type) of every node
        self._node_count = 0
        self._weight_bytes = 0
        self._parameters = 0

    def readers(self) -> Readers:
        return {
            "NodeProto": self._node,
            "TensorProto": self._tensor,
            "AttributeProto": _nothing,
            "TrainingInfoProto": _nothing,
            "SparseTensorProto": _nothing,
            "OperatorSetIdProto": lambda leaves: (_domain(leaves), _one(leaves, "version", 0)),
            "FunctionProto": lambda leaves: (_domain(leaves), _one(leaves, "name", "")),
            "StringStringEntryProto": lambda leaves: (_one(leaves, "key", ""), _one(leaves, "value", "")),
            "ValueInfoProto": lambda leaves: (_one(leaves, "name", ""), _one(leaves, "type", None)),
            "TypeProto": lambda leaves: _one(leaves, "tensor_type", None),
            "TypeProto.Tensor": _tensor_type,
            "TensorShapeProto": lambda leaves: tuple(leaves.get("dim", ())),
            "Dimension": lambda leaves: max(_one(leaves, "dim_value", 0), 0) or -1,
        }

    def facts(self, model: Leaves) -> OnnxFacts:
        """What the whole file is.

        Raises:
            WireError: It has no graph, no IR version, or not exactly one version of the standard operators.
        """
        graph, ir_version, opset = _essentials(model)
        functions = set(model.get("functions", ()))
        self._refuse_foreign(functions)
        initializers = set(graph.get("initializer", ()))
        inputs = [value for value in graph.get("input", ()) if value[0] not in initializers]
        return OnnxFacts(
            inputs=self._tensors("input", inputs),
            outputs=self._tensors("output", graph.get("output", [])),
            ir_version=ir_version,
            opset=opset,
            domains=tuple(sorted({domain for domain, _ in self._operators - functions})),
            node_count=self._node_count,
            weight_bytes=self._weight_bytes,
            parameters=self._parameters,
            metadata=dict(model.get("metadata_props", ())),
        )

    def _refuse(self, problem: Problem) -> None:
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.append(problem)

    def _node(self, leaves: Leaves) -> None:
        self._node_count += 1
        self._operators.add((_domain(leaves), _one(leaves, "op_type", "")))

    def _tensor(self, leaves: Leaves) -> str:
        problem = external_data(leaves)
        if problem:
            self._refuse(problem)
        else:
            tensor = stored(leaves)
            self._weight_bytes += tensor.size_bytes
            self._parameters += tensor.parameters
        name: str = _one(leaves, "name", "")
        return name

    def _refuse_foreign(self, functions: set[tuple[str, str]]) -> None:
        """An operator is fine if its domain is built in, or if the file itself defines it as a function.

        A domain that is imported and not used is fine too: exporters leave such imports behind.
        """
        allowed = f"the domains {', '.join(sorted(ALLOWED_DOMAINS))}, and functions defined in the file"
        for domain, operator in sorted(self._operators - functions):
            if domain not in ALLOWED_DOMAINS:
                message = f"operator {operator!r} of domain {domain!r} needs a custom library"
                self._refuse(Problem(message=message, found=domain, allowed=allowed))

    def _tensors(self, role: str, values: list[Value]) -> tuple[TensorFacts, ...]:
        """The graph's inputs or outputs, which the serving protocol must be able to carry."""
        if not values:
            self._refuse(Problem(message=f"the graph has no {role}"))
        tensors = []
        for name, found in values:
            datatype = ELEMENT_TYPES[found[0]].datatype if found and found[0] in ELEMENT_TYPES else None
            if found and datatype and name:
                tensors.append(TensorFacts(name, datatype, found[1]))
            else:
                message = f"{role} {name!r} is not a tensor with a known number of axes and a type that can be sent"
                self._refuse(Problem(message=message))
        return tuple(tensors)


def _essentials(model: Leaves) -> tuple[Leaves, int, int]:
    """The graph, the IR version and the version of the standard operators."""
    graphs = model.get("graph", [])
    opsets = [version for domain, version in model.get("opset_import", ()) if domain == "ai.onnx"]
    ir_version = _one(model, "ir_version", 0)
    if len(graphs) != 1:
        raise WireError(f"it has {len(graphs)} graphs")
    if len(opsets) != 1 or not 0 < opsets[0] < MAX_VERSION or not 0 < ir_version < MAX_VERSION:
        raise WireError("it does not say which version of ONNX and of the standard operators it uses")
    return graphs[0], ir_version, opsets[0]


def _one(leaves: Leaves, name: str, default: Any) -> Any:
    values = leaves.get(name)
    return values[-1] if values else default


def _domain(leaves: Leaves) -> str:
    return _one(leaves, "domain", "") or "ai.onnx"


def _nothing(_leaves: Leaves) -> None:
    """Everything of interest was in its children."""


def _tensor_type(leaves: Leaves) -> tuple[int, tuple[int, ...]] | None:
    shape = _one(leaves, "shape", None)
    return None if shape is None else (_one(leaves, "elem_type", 0), shape)
