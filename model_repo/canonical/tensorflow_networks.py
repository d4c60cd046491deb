"""The canonical networks in TensorFlow, fed with the ONNX emitter's weights. Imported only where TensorFlow is."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import tensorflow as tf  # type: ignore[import-untyped]

from model_repo.canonical.architecture import INPUT, OUTPUT, STEM_STRIDE, input_shape
from model_repo.canonical.cost import LSTM_GATES
from shared.jobs.spec import AttentionModel, FullyConnectedModel, LstmModel, ResidualCnnModel

Values = npt.NDArray[np.float32]
Layer = Callable[[Any], Any]

_TENSORFLOW_GATES: Final = (0, 3, 2, 1)
"""BlockLSTM's input, cell, forget, output as places in ONNX's input, output, forget, cell."""

_EPSILON: Final = 1e-5
_PADDING: Final = [[0, 0], [1, 1], [1, 1], [0, 0]]  # ONNX pads both sides; "SAME" would pad less on one at stride 2


class Network(tf.Module):  # type: ignore[misc]
    """The whole network: (batch, ...) -> (batch, classes). Its variables are the parameters."""

    def __init__(self, spec: Any, parameters: Iterator[Values]) -> None:
        """Raises ValueError where ``parameters``, which are used in order, do not come out even."""
        super().__init__()
        self.weights: list[Any] = []
        self._parameters = parameters
        self._body = _BODIES[spec.family](spec, self)
        self._head = self.linear()
        if next(parameters, None) is not None:
            raise ValueError(f"{spec.family} leaves parameters over")
        shape = tf.TensorSpec([None, *input_shape(spec)], tf.float32, name=INPUT)
        self.serve = tf.function(self._scores, input_signature=[shape])

    def _scores(self, value: Any) -> dict[str, Any]:
        return {OUTPUT: self._head(self._body(value))}

    def take(self) -> Values:
        """The next parameter, in ONNX's layout."""
        return next(self._parameters)

    def variable(self, values: Values) -> Any:
        """Keeps what will be a weight of the SavedModel."""
        self.weights.append(tf.Variable(values, trainable=True))
        return self.weights[-1]

    def linear(self) -> Layer:
        """``x W + b`` over the last axis."""
        weight, bias = self.variable(self.take()), self.variable(self.take())
        return lambda value: tf.matmul(value, weight) + bias

    def convolution(self, stride: int = 1) -> Layer:
        """Channels last, as TensorFlow wants them on a CPU: ONNX's (out, in, height, width) becomes (h, w, in, out)."""
        kernel, bias = self.variable(self.take().transpose(2, 3, 1, 0)), self.variable(self.take())
        return lambda value: tf.nn.conv2d(value, kernel, stride, _PADDING) + bias

    def norm(self) -> Layer:
        """Over the last axis."""
        gain, offset = self.variable(self.take()), self.variable(self.take())

        def normalised(value: Any) -> Any:
            mean, variance = tf.nn.moments(value, axes=[-1], keepdims=True)
            return tf.nn.batch_normalization(value, mean, variance, offset, gain, _EPSILON)

        return normalised


def _fc(spec: FullyConnectedModel, network: Network) -> Layer:
    return _chain([_then_relu(network.linear()) for _ in range(spec.layers)])


def _cnn(spec: ResidualCnnModel, network: Network) -> Layer:
    stem = _then_relu(network.convolution(STEM_STRIDE))
    blocks = [_residual_block(network) for _ in range(spec.layers)]
    layers = _chain([stem, *blocks])
    return lambda image: tf.reduce_mean(layers(tf.transpose(image, [0, 2, 3, 1])), axis=[1, 2])


def _residual_block(network: Network) -> Layer:
    """relu(x + conv(relu(conv(x))))."""
    inner, outer = network.convolution(), network.convolution()
    return lambda value: tf.nn.relu(value + outer(tf.nn.relu(inner(value))))


def _lstm(spec: LstmModel, network: Network) -> Layer:
    """Steps first; the last layer's state after the last step."""
    layers = _chain([_lstm_layer(spec, network) for _ in range(spec.layers)])
    return lambda value: layers(tf.transpose(value, [1, 0, 2]))[-1]


def _lstm_layer(spec: LstmModel, network: Network) -> Layer:
    """TensorFlow's fused layer has one matrix for input and state, and one bias.

    The kernel is that of BlockLSTMV2, whose registered gradient takes the gates in this one's order and is wrong.
    """
    weight, recurrence, bias = (network.take()[0] for _ in range(3))
    joined = network.variable(np.concatenate([_regated(weight).T, _regated(recurrence).T]))
    biases = network.variable(sum(_regated(part) for part in np.split(bias, 2)))  # type: ignore[arg-type]
    peephole = tf.zeros([spec.width])

    def states(value: Any) -> Any:
        zeros = tf.zeros([tf.shape(value)[1], spec.width])
        return tf.raw_ops.BlockLSTM(
            seq_len_max=tf.constant(spec.sequence_length, tf.int64),
            x=value,
            cs_prev=zeros,
            h_prev=zeros,
            w=joined,
            wci=peephole,
            wcf=peephole,
            wco=peephole,
            b=biases,
            forget_bias=0,
            cell_clip=0,
            use_peephole=False,
        ).h

    return states


def _regated(values: Values) -> Values:
    gates = np.split(values, LSTM_GATES)
    return np.concatenate([gates[place] for place in _TENSORFLOW_GATES])


def _attention(spec: AttentionModel, network: Network) -> Layer:
    blocks = _chain([_encoder_block(spec, network) for _ in range(spec.layers)])
    norm = network.norm()
    return lambda value: tf.reduce_mean(norm(blocks(value)), axis=1)


def _encoder_block(spec: AttentionModel, network: Network) -> Layer:
    """Attention and feed-forward layers, each after a norm and added to what it was given."""
    first_norm, attention = network.norm(), _attention_heads(spec, network)
    second_norm, inner, outer = network.norm(), network.linear(), network.linear()

    def block(value: Any) -> Any:
        value = value + attention(first_norm(value))
        return value + outer(tf.nn.relu(inner(second_norm(value))))

    return block


def _attention_heads(spec: AttentionModel, network: Network) -> Layer:
    """softmax(Q K^T / sqrt(width / heads)) V in every head, then a projection."""
    packed, joined = network.linear(), network.linear()
    head_width = spec.width // spec.heads

    def attend(value: Any) -> Any:
        split = tf.reshape(packed(value), [-1, spec.sequence_length, 3, spec.heads, head_width])
        queries, keys, values = tf.unstack(tf.transpose(split, [2, 0, 3, 1, 4]))
        shares = tf.nn.softmax(tf.matmul(queries, keys, transpose_b=True) * head_width**-0.5)
        mixed = tf.transpose(tf.matmul(shares, values), [0, 2, 1, 3])
        return joined(tf.reshape(mixed, [-1, spec.sequence_length, spec.width]))

    return attend


def _then_relu(layer: Layer) -> Layer:
    return lambda value: tf.nn.relu(layer(value))


def _chain(layers: list[Layer]) -> Layer:
    def all_of_them(value: Any) -> Any:
        for layer in layers:
            value = layer(value)
        return value

    return all_of_them


_BODIES: Final[Mapping[str, Callable[[Any, Network], Layer]]] = {
    "fc": _fc,
    "cnn": _cnn,
    "lstm": _lstm,
    "attention": _attention,
}
"""Family -> its body, as in ``families.FAMILIES``."""
