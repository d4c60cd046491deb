"""Small ONNX files, good and hostile, built with onnx.helper."""

from collections.abc import Sequence
from io import BytesIO
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

Shape = Sequence[int | str | None]


def value(name: str, shape: Shape, element: int = TensorProto.FLOAT) -> onnx.ValueInfoProto:
    """A tensor-typed input or output."""
    return helper.make_tensor_value_info(name, element, shape)


def weights(name: str, *shape: int) -> onnx.TensorProto:
    """A float32 initializer of ones."""
    return numpy_helper.from_array(np.ones(shape, np.float32), name)


def external(name: str, **entries: str) -> onnx.TensorProto:
    """A tensor whose data is said to lie in another file."""
    tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=[2, 3], data_location=TensorProto.EXTERNAL)
    for key, text in entries.items():
        tensor.external_data.add(key=key, value=text)
    return tensor


def model(
    nodes: Sequence[onnx.NodeProto] | None = None,
    *,
    initializers: Sequence[onnx.TensorProto] | None = None,
    inputs: Sequence[onnx.ValueInfoProto] | None = None,
    outputs: Sequence[onnx.ValueInfoProto] | None = None,
    **fields: Any,
) -> onnx.ModelProto:
    """A model of one matrix product, any part of which can be replaced."""
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])] if nodes is None else list(nodes),
        "graph",
        [value("x", ["N", 2])] if inputs is None else list(inputs),
        [value("y", ["N", 3])] if outputs is None else list(outputs),
        [weights("w", 2, 3)] if initializers is None else list(initializers),
    )
    fields.setdefault("opset_imports", [helper.make_opsetid("", 17)])
    return helper.make_model(graph, ir_version=8, **fields)


def branch(name: str, *nodes: onnx.NodeProto) -> onnx.GraphProto:
    """A subgraph, as an If node has two."""
    return helper.make_graph(list(nodes), name, [], [value("y", ["N", 3])])


def if_node(*nodes: onnx.NodeProto) -> onnx.NodeProto:
    """An If node with ``nodes`` in its first branch."""
    other = branch("else", helper.make_node("MatMul", ["x", "w"], ["y"]))
    return helper.make_node("If", ["c"], ["y"], then_branch=branch("then", *nodes), else_branch=other)


def file_of(proto: onnx.ModelProto) -> BytesIO:
    """The model as an uploaded file."""
    return BytesIO(proto.SerializeToString())
