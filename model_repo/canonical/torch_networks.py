"""The canonical networks in PyTorch, fed with the ONNX emitter's weights. Imported only where PyTorch is."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch  # type: ignore[import-not-found]
from torch import nn

from model_repo.canonical.architecture import CLASSES, FEED_FORWARD, IMAGE_CHANNELS, KERNEL, STEM_STRIDE
from model_repo.canonical.cost import LSTM_GATES
from shared.jobs.spec import AttentionModel, FullyConnectedModel, LstmModel, ResidualCnnModel

Parameters = Iterator[npt.NDArray[np.float32]]

_TORCH_GATES: Final = (0, 2, 3, 1)
"""PyTorch's input, forget, cell, output as places in ONNX's input, output, forget, cell."""


def network(spec: Any, parameters: Parameters) -> Any:
    """The whole network as a module: (batch, ...) -> (batch, classes).

    ``parameters`` are used in order and must come out even.
    """
    body = BODIES[spec.family](spec, parameters)
    module = nn.Sequential(body, _linear(spec.width, CLASSES, parameters))
    if next(parameters, None) is not None:
        raise ValueError(f"{spec.family} leaves parameters over")
    return module.eval()


def _fill(parameter: Any, values: npt.NDArray[np.float32]) -> None:
    with torch.no_grad():
        parameter.copy_(torch.from_numpy(np.array(values)))


def _linear(inputs: int, outputs: int, parameters: Parameters) -> Any:
    """``x W + b``: ONNX holds (inputs, outputs), PyTorch its transpose."""
    layer = nn.Linear(inputs, outputs)
    _fill(layer.weight, next(parameters).T)
    _fill(layer.bias, next(parameters))
    return layer


def _convolution(inputs: int, outputs: int, parameters: Parameters, stride: int = 1) -> Any:
    layer = nn.Conv2d(inputs, outputs, KERNEL, stride=stride, padding=1)
    _fill(layer.weight, next(parameters))
    _fill(layer.bias, next(parameters))
    return layer


def _norm(width: int, parameters: Parameters) -> Any:
    layer = nn.LayerNorm(width, eps=1e-5)
    _fill(layer.weight, next(parameters))
    _fill(layer.bias, next(parameters))
    return layer


def _fc(spec: FullyConnectedModel, parameters: Parameters) -> Any:
    layers = [(_linear(spec.width, spec.width, parameters), nn.ReLU()) for _ in range(spec.layers)]
    return nn.Sequential(*[part for layer in layers for part in layer])


class _ResidualBlock(nn.Module):  # type: ignore[misc]
    """relu(x + conv(relu(conv(x))))."""

    def __init__(self, width: int, parameters: Parameters) -> None:
        super().__init__()
        self.inner = _convolution(width, width, parameters)
        self.outer = _convolution(width, width, parameters)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(x + self.outer(torch.relu(self.inner(x))))


def _cnn(spec: ResidualCnnModel, parameters: Parameters) -> Any:
    stem = _convolution(IMAGE_CHANNELS, spec.width, parameters, STEM_STRIDE)
    blocks = [_ResidualBlock(spec.width, parameters) for _ in range(spec.layers)]
    return nn.Sequential(stem, nn.ReLU(), *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(1))


class _LastState(nn.Module):  # type: ignore[misc]
    """The last layer's state after the last step."""

    def __init__(self, spec: LstmModel, parameters: Parameters) -> None:
        super().__init__()
        self.layers = nn.LSTM(spec.width, spec.width, spec.layers, batch_first=True)
        for number in range(spec.layers):
            weight, recurrence, bias = next(parameters)[0], next(parameters)[0], next(parameters)[0]
            input_bias, state_bias = np.split(bias, 2)
            for name, values in (("weight_ih", weight), ("weight_hh", recurrence)):
                _fill(getattr(self.layers, f"{name}_l{number}"), _regated(values))
            for name, values in (("bias_ih", input_bias), ("bias_hh", state_bias)):
                _fill(getattr(self.layers, f"{name}_l{number}"), _regated(values))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        states, _ = self.layers(x)
        return states[:, -1]


def _regated(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    gates = np.split(values, LSTM_GATES)
    return np.concatenate([gates[place] for place in _TORCH_GATES])


class _Attention(nn.Module):  # type: ignore[misc]
    """softmax(Q K^T / sqrt(width / heads)) V in every head, then a projection."""

    def __init__(self, spec: AttentionModel, parameters: Parameters) -> None:
        super().__init__()
        self.tokens, self.heads, self.head_width = spec.sequence_length, spec.heads, spec.width // spec.heads
        self.packed = _linear(spec.width, 3 * spec.width, parameters)
        self.joined = _linear(spec.width, spec.width, parameters)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        split = self.packed(x).reshape(-1, self.tokens, 3, self.heads, self.head_width).permute(2, 0, 3, 1, 4)
        shares = torch.softmax(split[0] @ split[1].transpose(2, 3) * self.head_width**-0.5, dim=-1)
        mixed = (shares @ split[2]).transpose(1, 2)
        return self.joined(mixed.reshape(-1, self.tokens, self.heads * self.head_width))


class _EncoderBlock(nn.Module):  # type: ignore[misc]
    """Attention and feed-forward layers, each after a norm and added to what it was given."""

    def __init__(self, spec: AttentionModel, parameters: Parameters) -> None:
        super().__init__()
        hidden = FEED_FORWARD * spec.width
        self.first_norm = _norm(spec.width, parameters)
        self.attention = _Attention(spec, parameters)
        self.second_norm = _norm(spec.width, parameters)
        self.inner = _linear(spec.width, hidden, parameters)
        self.outer = _linear(hidden, spec.width, parameters)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.attention(self.first_norm(x))
        return x + self.outer(torch.relu(self.inner(self.second_norm(x))))


class _TokenMean(nn.Module):  # type: ignore[misc]
    """(batch, tokens, width) -> (batch, width)."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.mean(1)


def _attention(spec: AttentionModel, parameters: Parameters) -> Any:
    blocks = [_EncoderBlock(spec, parameters) for _ in range(spec.layers)]
    return nn.Sequential(*blocks, _norm(spec.width, parameters), _TokenMean())


BODIES: Final[Mapping[str, Callable[[Any, Parameters], Any]]] = {
    "fc": _fc,
    "cnn": _cnn,
    "lstm": _LastState,
    "attention": _attention,
}
"""Family -> its body, as in ``families.FAMILIES``."""
