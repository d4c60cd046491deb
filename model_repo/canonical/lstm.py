"""Stacked LSTM layers (Hochreiter and Schmidhuber, 1997), as the ONNX operator LSTM defines them."""

import numpy as np

from model_repo.canonical.architecture import INPUT
from model_repo.canonical.cost import LSTM_GATES
from model_repo.canonical.graph import GraphBuilder
from shared.jobs.spec import LstmModel


def build(spec: LstmModel, graph: GraphBuilder) -> str:
    """(batch, steps, width) -> (batch, width): the last layer's state after the last step.

    The operator wants the steps first; its output has a direction axis, of size one here.
    """
    value = graph.node("Transpose", INPUT, perm=[1, 0, 2])
    state = value
    for _ in range(spec.layers):
        outputs, state, _cell = _layer(graph, value, spec.width)
        value = graph.node("Squeeze", outputs, graph.integers(1))  # (steps, direction, batch, width)
    return graph.node("Squeeze", state, graph.integers(0))  # (direction, batch, width)


def _layer(graph: GraphBuilder, value: str, width: int) -> list[str]:
    """Weights are (direction, gates * width, width), gates in the order input, output, forget, cell."""
    deviation = 1 / np.sqrt(3 * width)  # uniform within 1 / sqrt(width), the usual start
    shape = (1, LSTM_GATES * width, width)
    weight = graph.weight(graph.weights.uniform(shape, deviation))
    recurrence = graph.weight(graph.weights.uniform(shape, deviation))
    bias = graph.weight(graph.weights.bias(2 * LSTM_GATES * width)[None])
    return graph.nodes("LSTM", value, weight, recurrence, bias, outputs=("_all", "_last", "_cell"), hidden_size=width)
