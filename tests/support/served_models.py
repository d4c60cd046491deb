"""Tiny ONNX models to be served, whose answers are known without running them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from support.onnx_models import Shape, model, value


def save(
    path: Path,
    nodes: Sequence[onnx.NodeProto],
    inputs: Sequence[onnx.ValueInfoProto],
    outputs: Sequence[onnx.ValueInfoProto],
    constants: Sequence[onnx.TensorProto] = (),
) -> Path:
    """Checks and writes a graph."""
    proto = model(nodes, initializers=constants, inputs=inputs, outputs=outputs)
    onnx.checker.check_model(proto)
    onnx.save(proto, path)
    return path


def identity(path: Path, shape: Shape = ("batch", 4), element: int = TensorProto.FLOAT) -> Path:
    """Computes y = x."""
    node = helper.make_node("Identity", ["x"], ["y"])
    return save(path, [node], [value("x", shape, element)], [value("y", shape, element)])


def affine(path: Path, *, width: int = 4) -> Path:
    """Computes y = 2x + 1 and z = the sum of each row of x, for x of shape [batch, width]."""
    constants = [
        numpy_helper.from_array(np.array(2, np.float32), "two"),
        numpy_helper.from_array(np.array(1, np.float32), "one"),
        numpy_helper.from_array(np.array([1], np.int64), "axes"),
    ]
    nodes = [
        helper.make_node("Mul", ["x", "two"], ["doubled"]),
        helper.make_node("Add", ["doubled", "one"], ["y"]),
        helper.make_node("ReduceSum", ["x", "axes"], ["z"], keepdims=0),
    ]
    outputs = [value("y", ["batch", width]), value("z", ["batch"])]
    return save(path, nodes, [value("x", ["batch", width])], outputs, constants)


def table_lookup(path: Path, *, rows: int = 4) -> Path:
    """Computes y = 10 * i for an index i of shape [batch]; an index from ``rows`` up makes the whole batch fail."""
    table = numpy_helper.from_array(10 * np.arange(rows, dtype=np.float32), "table")
    node = helper.make_node("Gather", ["table", "i"], ["y"])
    return save(path, [node], [value("i", ["batch"], TensorProto.INT64)], [value("y", ["batch"])], [table])


def zeros_on_demand(path: Path) -> Path:
    """Computes y = n zeros, for one number n: asking for many takes memory without sending any."""
    node = helper.make_node("ConstantOfShape", ["n"], ["y"])
    return save(path, [node], [value("n", [1], TensorProto.INT64)], [value("y", ["length"])])


def two_inputs(path: Path) -> Path:
    """Computes y = a + b for a and b of shape [batch, 2]."""
    node = helper.make_node("Add", ["a", "b"], ["y"])
    return save(path, [node], [value("a", ["batch", 2]), value("b", ["batch", 2])], [value("y", ["batch", 2])])


def reshaped_to(path: Path, size: int) -> Path:
    """Computes y = x of free length as [rows, size]: only a length that ``size`` divides can be executed."""
    shape = numpy_helper.from_array(np.array([-1, size], np.int64), "shape")
    node = helper.make_node("Reshape", ["x", "shape"], ["y"])
    return save(path, [node], [value("x", ["batch", "length"])], [value("y", ["rows", size])], [shape])
