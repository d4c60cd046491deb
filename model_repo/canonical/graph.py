"""Writes an ONNX graph node by node. Only weights are initializers, so their count is the parameters' count."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from model_repo.canonical.architecture import CLASSES, INPUT, IR_VERSION, OPSET, OUTPUT
from model_repo.canonical.weights import Weights

RELU_GAIN = np.sqrt(2.0)  # He et al., "Delving Deep into Rectifiers", 2015: keeps the variance through ReLU


class GraphBuilder:
    """A graph under construction. Values are known by name; names count up, so equal calls give equal bytes."""

    def __init__(self, seed: int) -> None:
        self.weights = Weights(seed)
        self._nodes: list[onnx.NodeProto] = []
        self._initializers: list[onnx.TensorProto] = []

    def node(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """Adds an operator with one output."""
        return self.nodes(operator, *inputs, outputs=("",), **attributes)[0]

    def nodes(self, operator: str, *inputs: str, outputs: Sequence[str], **attributes: Any) -> list[str]:
        """Adds an operator whose outputs get these suffixes."""
        name = f"{operator.lower()}_{len(self._nodes)}"
        names = [name + suffix for suffix in outputs]
        self._nodes.append(helper.make_node(operator, inputs, names, name, **attributes))
        return names

    def weight(self, values: npt.NDArray[np.float32]) -> str:
        """Adds trained parameters, or what stands for them here."""
        name = f"weight_{len(self._initializers)}"
        self._initializers.append(numpy_helper.from_array(values, name))
        return name

    def parameters(self) -> list[npt.NDArray[np.float32]]:
        """All weights so far, in the order in which they were added."""
        return [numpy_helper.to_array(tensor) for tensor in self._initializers]

    def integers(self, *values: int) -> str:
        """A constant list, such as a shape."""
        return self.node("Constant", value_ints=list(values))

    def number(self, value: float) -> str:
        """A constant number."""
        return self.node("Constant", value_float=value)

    def linear(self, value: str, inputs: int, outputs: int, *, gain: float = 1.0) -> str:
        """``x W + b`` over the last axis; the weights' deviation is gain / sqrt(inputs)."""
        weight = self.weight(self.weights.uniform((inputs, outputs), gain / np.sqrt(inputs)))
        bias = self.weight(self.weights.bias(outputs))
        return self.node("Add", self.node("MatMul", value, weight), bias)

    def finish(self, name: str, value: str, width: int, input_shape: Sequence[int]) -> bytes:
        """Adds the last linear layer to ``value`` (batch, width) and serialises the whole."""
        return self.serialise(name, self.linear(value, width, CLASSES), input_shape=input_shape, classes=CLASSES)

    def serialise(
        self,
        name: str,
        scores: str,
        *,
        input_shape: Sequence[int | str],
        classes: int,
        input_type: TensorProto.DataType = TensorProto.FLOAT,
        inputs: Sequence[str] = (INPUT,),
    ) -> bytes:
        """The model whose output is ``scores``, a value of shape (batch, classes). Axes given by name are free.

        All of its ``inputs`` are of one type and shape.
        """
        self._nodes.append(helper.make_node("Identity", [scores], [OUTPUT], OUTPUT))
        graph = helper.make_graph(
            self._nodes,
            name,
            [helper.make_tensor_value_info(each, input_type, ["batch", *input_shape]) for each in inputs],
            [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["batch", classes])],
            self._initializers,
        )
        opsets = [helper.make_opsetid("", OPSET)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="inferbench")
        content: bytes = model.SerializeToString(deterministic=True)
        return content
