"""Fully connected layers with ReLU."""

from model_repo.canonical.architecture import INPUT
from model_repo.canonical.graph import RELU_GAIN, GraphBuilder
from shared.jobs.spec import FullyConnectedModel


def build(spec: FullyConnectedModel, graph: GraphBuilder) -> str:
    """(batch, width) -> (batch, width): x = relu(x W + b), ``layers`` times."""
    value = INPUT
    for _ in range(spec.layers):
        value = graph.node("Relu", graph.linear(value, spec.width, spec.width, gain=RELU_GAIN))
    return value
