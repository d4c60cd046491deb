"""Which platform serves which model formats, and what a model can be converted to. Visible tables; pure."""

from collections.abc import Mapping
from typing import Final, Literal

PlatformName = Literal[
    "onnxruntime", "openvino", "torchscript", "triton", "tfserving", "tfs-compat", "endpoint"
]  # fmt: skip
"""``tfs-compat`` speaks TensorFlow Serving's protocol and batches as it does, and is not TensorFlow Serving."""

ModelFormat = Literal["onnx", "torchscript", "savedmodel", "openvino"]
"""``openvino``: what that engine writes itself, a graph as XML and the weights beside it."""

SUFFIXES: Final[Mapping[ModelFormat, str]] = {
    "onnx": ".onnx",
    "torchscript": ".pt",
    "savedmodel": ".tar",
    "openvino": ".tar",
}
"""Of the file in which a model is kept."""

SERVES: Final[Mapping[PlatformName, tuple[ModelFormat, ...]]] = {
    "onnxruntime": ("onnx",),
    "openvino": ("onnx", "openvino"),
    "torchscript": ("torchscript",),
    "triton": ("onnx",),
    "tfserving": ("savedmodel",),
    "tfs-compat": ("savedmodel",),
    "endpoint": (),
}
"""Platform -> the formats that it loads, best first. An endpoint serves what it serves already."""

TRAINED: Final[tuple[ModelFormat, ...]] = ("savedmodel", "torchscript")
"""Formats whose own software can train a canonical model before it writes it."""

CONVERTS: Final[Mapping[ModelFormat, tuple[ModelFormat, ...]]] = {
    "onnx": ("openvino",),
    "torchscript": ("onnx",),
    "savedmodel": ("onnx",),
    "openvino": (),
}
"""Format -> the formats that a model of it can be converted to."""


def ways_to_serve(model: ModelFormat, platform: PlatformName) -> str:
    """What would be right where ``platform`` does not load ``model``, for a person."""
    wanted = SERVES[platform]
    reachable = [target for target in wanted if target in CONVERTS[model]]
    if reachable:
        return f"convert the model to {reachable[0]} first"
    others = sorted(name for name, formats in SERVES.items() if model in formats)
    return f"platforms that load {model}: {', '.join(others)}"
