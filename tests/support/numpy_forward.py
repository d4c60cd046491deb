"""The canonical networks in plain numpy, from the papers' equations, fed with an ONNX file's weights.

Independent of the generator: it takes only the order in which parameters are stored.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import onnx
from onnx import numpy_helper

from shared.jobs.spec import AttentionModel, FullyConnectedModel, LstmModel, ResidualCnnModel

Array = npt.NDArray[np.float64]
Parameters = Iterator[Array]


def forward(spec: Any, onnx_bytes: bytes, inputs: npt.NDArray[np.float32]) -> Array:
    """Scores (batch, classes) of ``inputs`` (batch, ...), in double precision."""
    tensors = onnx.load_from_string(onnx_bytes).graph.initializer
    parameters = (numpy_helper.to_array(tensor).astype(np.float64) for tensor in tensors)
    body = _BODIES[spec.family](spec, parameters, inputs.astype(np.float64))
    scores = _linear(parameters, body)
    assert next(parameters, None) is None, "parameters are left over"
    return scores


def _linear(parameters: Parameters, x: Array) -> Array:
    weight = next(parameters)
    return x @ weight + next(parameters)


def _relu(x: Array) -> Array:
    return np.maximum(x, 0)


def _sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def _fc(spec: FullyConnectedModel, parameters: Parameters, x: Array) -> Array:
    for _ in range(spec.layers):
        x = _relu(_linear(parameters, x))
    return x


def _cnn(spec: ResidualCnnModel, parameters: Parameters, x: Array) -> Array:
    x = _relu(_convolution(parameters, x, stride=2))
    for _ in range(spec.layers):
        inner = _relu(_convolution(parameters, x, stride=1))
        x = _relu(x + _convolution(parameters, inner, stride=1))
    mean: Array = x.mean(axis=(2, 3))
    return mean


def _convolution(parameters: Parameters, x: Array, *, stride: int) -> Array:
    """y[o, i, j] = b[o] + sum over c, u, v of w[o, c, u, v] x[c, i * stride + u - 1, j * stride + v - 1]."""
    weight, bias = next(parameters), next(parameters)
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))[:, :, ::stride, ::stride]
    result: Array = np.einsum("ncijuv,ocuv->noij", windows, weight) + bias[:, None, None]
    return result


def _lstm(spec: LstmModel, parameters: Parameters, x: Array) -> Array:
    """i, o, f = sigmoid(...), c = f * c + i * tanh(...), h = o * tanh(c); gates are stored in the order i, o, f, c."""
    width = spec.width
    for _ in range(spec.layers):
        weight, recurrence, bias = next(parameters)[0], next(parameters)[0], next(parameters)[0]
        state = cell = np.zeros((x.shape[0], width))
        states = []
        for step in range(spec.sequence_length):
            gates = x[:, step] @ weight.T + state @ recurrence.T + bias[: 4 * width] + bias[4 * width :]
            entry, out, forget, candidate = np.split(gates, 4, axis=1)
            cell = _sigmoid(forget) * cell + _sigmoid(entry) * np.tanh(candidate)
            state = _sigmoid(out) * np.tanh(cell)
            states.append(state)
        x = np.stack(states, axis=1)
    return x[:, -1]


def _attention(spec: AttentionModel, parameters: Parameters, x: Array) -> Array:
    for _ in range(spec.layers):
        x = x + _self_attention(spec, parameters, _norm(parameters, x))
        inner = _relu(_linear(parameters, _norm(parameters, x)))
        x = x + _linear(parameters, inner)
    mean: Array = _norm(parameters, x).mean(axis=1)
    return mean


def _self_attention(spec: AttentionModel, parameters: Parameters, x: Array) -> Array:
    """Head by head: softmax(Q K^T / sqrt(d)) V."""
    size = spec.width // spec.heads
    queries, keys, values = np.split(_linear(parameters, x), 3, axis=2)
    heads = []
    for head in range(spec.heads):
        part = slice(head * size, (head + 1) * size)
        products = queries[..., part] @ keys[..., part].swapaxes(1, 2) / np.sqrt(size)
        powers = np.exp(products - products.max(axis=-1, keepdims=True))
        heads.append(powers / powers.sum(axis=-1, keepdims=True) @ values[..., part])
    return _linear(parameters, np.concatenate(heads, axis=2))


def _norm(parameters: Parameters, x: Array) -> Array:
    gain, offset = next(parameters), next(parameters)
    centred = x - x.mean(axis=-1, keepdims=True)
    result: Array = centred / np.sqrt(centred.var(axis=-1, keepdims=True) + 1e-5) * gain + offset
    return result


_BODIES: Final[Mapping[str, Callable[[Any, Parameters, Array], Array]]] = {
    "fc": _fc,
    "cnn": _cnn,
    "lstm": _lstm,
    "attention": _attention,
}
