"""Transformer encoder blocks (Vaswani et al., 2017), with the norm before each part (Xiong et al., 2020)."""

import numpy as np

from model_repo.canonical.architecture import FEED_FORWARD, INPUT
from model_repo.canonical.graph import RELU_GAIN, GraphBuilder
from shared.jobs.spec import AttentionModel

GAIN_DEVIATION = 0.1  # of a norm's gain around one


def build(spec: AttentionModel, graph: GraphBuilder) -> str:
    """(batch, tokens, width) -> (batch, width): blocks, a last norm, the mean over tokens.

    The input stands for embedded tokens. What a block adds is scaled down by sqrt(2 * layers) (Radford et al., 2019).
    """
    value = INPUT
    for _ in range(spec.layers):
        value = graph.node("Add", value, _attention(spec, graph, _norm(spec, graph, value)))
        value = graph.node("Add", value, _feed_forward(spec, graph, _norm(spec, graph, value)))
    return graph.node("ReduceMean", _norm(spec, graph, value), axes=[1], keepdims=0)


def _attention(spec: AttentionModel, graph: GraphBuilder, value: str) -> str:
    """softmax(Q K^T / sqrt(width / heads)) V in every head, then a projection."""
    head_width = spec.width // spec.heads
    packed = graph.linear(value, spec.width, 3 * spec.width)
    shape = graph.integers(0, spec.sequence_length, 3, spec.heads, head_width)  # 0: the batch as it is
    split = graph.node("Transpose", graph.node("Reshape", packed, shape), perm=[2, 0, 3, 1, 4])
    parts = graph.nodes("Split", split, outputs=("_q", "_k", "_v"), axis=0)
    queries, keys, values = [graph.node("Squeeze", part, graph.integers(0)) for part in parts]
    products = graph.node("MatMul", queries, graph.node("Transpose", keys, perm=[0, 1, 3, 2]))
    shares = graph.node("Softmax", graph.node("Mul", products, graph.number(head_width**-0.5)), axis=-1)
    mixed = graph.node("Transpose", graph.node("MatMul", shares, values), perm=[0, 2, 1, 3])
    joined = graph.node("Reshape", mixed, graph.integers(0, spec.sequence_length, spec.width))
    return graph.linear(joined, spec.width, spec.width, gain=_residual_gain(spec))


def _feed_forward(spec: AttentionModel, graph: GraphBuilder, value: str) -> str:
    """relu(x W1 + b1) W2 + b2."""
    hidden = FEED_FORWARD * spec.width
    inner = graph.node("Relu", graph.linear(value, spec.width, hidden, gain=RELU_GAIN))
    return graph.linear(inner, hidden, spec.width, gain=_residual_gain(spec))


def _norm(spec: AttentionModel, graph: GraphBuilder, value: str) -> str:
    gain = graph.weight(graph.weights.uniform((spec.width,), GAIN_DEVIATION, mean=1.0))
    offset = graph.weight(graph.weights.bias(spec.width))
    return graph.node("LayerNormalization", value, gain, offset, axis=-1, epsilon=1e-5)


def _residual_gain(spec: AttentionModel) -> float:
    return float(1 / np.sqrt(2 * spec.layers))
