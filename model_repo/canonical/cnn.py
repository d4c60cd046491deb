"""A residual convolutional network (He et al., CVPR 2016), without batch norm, which folds into the weights."""

import numpy as np

from model_repo.canonical.architecture import IMAGE_CHANNELS, INPUT, KERNEL, STEM_STRIDE
from model_repo.canonical.graph import RELU_GAIN, GraphBuilder
from shared.jobs.spec import ResidualCnnModel


def build(spec: ResidualCnnModel, graph: GraphBuilder) -> str:
    """(batch, 3, size, size) -> (batch, width): a stem of stride 2, residual blocks, the mean over pixels.

    The second convolution of a block is scaled down by sqrt(2 * layers), so that the sums stay bounded.
    """
    stem = _convolution(graph, INPUT, IMAGE_CHANNELS, spec.width, stride=STEM_STRIDE)
    value = graph.node("Relu", stem)
    for _ in range(spec.layers):
        inner = graph.node("Relu", _convolution(graph, value, spec.width, spec.width))
        outer = _convolution(graph, inner, spec.width, spec.width, gain=RELU_GAIN / np.sqrt(2 * spec.layers))
        value = graph.node("Relu", graph.node("Add", value, outer))
    return graph.node("Flatten", graph.node("GlobalAveragePool", value), axis=1)


def _convolution(
    graph: GraphBuilder, value: str, inputs: int, outputs: int, *, stride: int = 1, gain: float = RELU_GAIN
) -> str:
    shape = (outputs, inputs, KERNEL, KERNEL)
    weight = graph.weight(graph.weights.uniform(shape, gain / np.sqrt(inputs * KERNEL**2)))
    bias = graph.weight(graph.weights.bias(outputs))
    return graph.node("Conv", value, weight, bias, kernel_shape=[KERNEL] * 2, pads=[1] * 4, strides=[stride] * 2)
