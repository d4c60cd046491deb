"""What a canonical network costs, from its hyper-parameters alone; nothing is built.

Convention: one multiply-add is two floating-point operations, as in the roofline model (Williams, Waterman,
Patterson, CACM 52(4), 2009). Matrix products and convolutions are counted; biases, activations, norms, softmax and
pooling are not: they are a share of about one over the width.

Activation bytes: the input and the output of every matrix product, convolution, recurrent layer, norm, residual sum
and pooling, each once, as float32. Element-wise functions count as fused into what comes before them.
"""

from dataclasses import dataclass
from math import prod
from typing import Final

from model_repo.canonical.architecture import (
    CLASSES,
    FEED_FORWARD,
    IMAGE_CHANNELS,
    KERNEL,
    feature_map_size,
    input_shape,
)
from shared.jobs.spec import AttentionModel, CanonicalSpec, FullyConnectedModel, LstmModel, ResidualCnnModel

FLOAT_BYTES: Final = 4
LSTM_GATES: Final = 4


@dataclass(frozen=True)
class Cost:
    """What one network holds, and what one sample through it takes."""

    parameters: int
    flops_per_sample: int
    activations_per_sample: int  # elements

    @property
    def weight_bytes(self) -> int:
        return FLOAT_BYTES * self.parameters

    @property
    def activation_bytes_per_sample(self) -> int:
        return FLOAT_BYTES * self.activations_per_sample

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(
            self.parameters + other.parameters,
            self.flops_per_sample + other.flops_per_sample,
            self.activations_per_sample + other.activations_per_sample,
        )

    def times(self, count: int) -> "Cost":
        """``count`` of the same, one after the other."""
        return Cost(count * self.parameters, count * self.flops_per_sample, count * self.activations_per_sample)


def cost_of(spec: CanonicalSpec) -> Cost:
    """Parameters, operations and activations of the network that ``generate`` makes from ``spec``."""
    match spec:
        case FullyConnectedModel():
            body = linear(spec.width, spec.width).times(spec.layers)
        case ResidualCnnModel():
            body = _cnn(spec)
        case LstmModel():
            body = lstm_layer(spec.width, spec.width, steps=spec.sequence_length).times(spec.layers)
        case AttentionModel():
            body = _attention(spec)
    return _elements(prod(input_shape(spec))) + body + linear(spec.width, CLASSES)


def linear(inputs: int, outputs: int, *, rows: int = 1) -> Cost:
    """``y = W x + b`` for ``rows`` vectors: inputs * outputs multiply-adds each."""
    return Cost(inputs * outputs + outputs, 2 * rows * inputs * outputs, rows * outputs)


def convolution(inputs: int, outputs: int, *, size: int) -> Cost:
    """Kernel x kernel convolution onto ``size`` x ``size`` pixels: inputs * kernel^2 multiply-adds per output value.

    Source: Dumoulin and Visin, "A guide to convolution arithmetic for deep learning", 2016.
    """
    weights = inputs * outputs * KERNEL**2
    return Cost(weights + outputs, 2 * weights * size**2, outputs * size**2)


def lstm_layer(inputs: int, hidden: int, *, steps: int) -> Cost:
    """Four gates, each a product with the input and one with the state, at every step; two biases per gate.

    Source: Hochreiter and Schmidhuber, Neural Computation 9(8), 1997, with the forget gate of Gers et al., 2000;
    equations and layout of weights as in the ONNX operator LSTM.
    """
    weights = LSTM_GATES * hidden * (inputs + hidden)
    return Cost(weights + 2 * LSTM_GATES * hidden, 2 * steps * weights, steps * hidden)


def _cnn(spec: ResidualCnnModel) -> Cost:
    """A stem, then blocks of two convolutions and a sum (He et al., CVPR 2016, figure 2), then global pooling."""
    size = feature_map_size(spec)
    block = convolution(spec.width, spec.width, size=size).times(2) + _elements(spec.width * size**2)
    return convolution(IMAGE_CHANNELS, spec.width, size=size) + block.times(spec.layers) + _elements(spec.width)


def _attention(spec: AttentionModel) -> Cost:
    """Encoder blocks with the norm before each part, then a last norm and the mean over tokens.

    Sources: Vaswani et al., "Attention Is All You Need", 2017, sections 3.2 and 3.3; Xiong et al., "On Layer
    Normalization in the Transformer Architecture", 2020 (norm first). The operations agree with table 1 of Kaplan et
    al., "Scaling Laws for Neural Language Models", 2020, where the product with the values is added to its products.
    """
    width, tokens = spec.width, spec.sequence_length
    attention = (
        _norm(spec)
        + linear(width, 3 * width, rows=tokens)  # queries, keys, values
        + Cost(0, 2 * tokens**2 * width, spec.heads * tokens**2)  # queries times keys
        + Cost(0, 2 * tokens**2 * width, tokens * width)  # shares times values
        + linear(width, width, rows=tokens)
        + _elements(tokens * width)  # residual sum
    )
    feed_forward = (
        _norm(spec)
        + linear(width, FEED_FORWARD * width, rows=tokens)
        + linear(FEED_FORWARD * width, width, rows=tokens)
        + _elements(tokens * width)  # residual sum
    )
    return (attention + feed_forward).times(spec.layers) + _norm(spec) + _elements(width)


def _norm(spec: AttentionModel) -> Cost:
    """A gain and an offset per feature."""
    return Cost(2 * spec.width, 0, spec.sequence_length * spec.width)


def _elements(count: int) -> Cost:
    """Values that are held and cost no multiply-adds."""
    return Cost(0, 0, count)
