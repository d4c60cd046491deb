"""The inference engines that the model server can be started with. A new one is one file and one row.

A runtime's module imports its engine, so it is imported only in the server that was started with it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import version
from typing import Final

from follower.serve.modelserver.server.options import RuntimeName, ServerOptions
from follower.serve.modelserver.server.refusal import LoadFailed
from follower.serve.modelserver.server.runtimes.protocol import Load, LoadedModel

_PACKAGE: Final = "follower.serve.modelserver.server.runtimes"


@dataclass(frozen=True)
class Runtime:
    """Where a runtime is, and what it is called outside."""

    module: str  # of ``_PACKAGE``
    distribution: str  # whose version is the engine's
    model_platform: str  # as the metadata of a model names it

    @property
    def version(self) -> str:
        """The installed one, without importing the engine."""
        return version(self.distribution)


RUNTIMES: Final[Mapping[RuntimeName, Runtime]] = {
    "onnxruntime": Runtime("onnxruntime", "onnxruntime", "onnxruntime_onnx"),
    "openvino": Runtime("openvino", "openvino", "openvino"),
    "torchscript": Runtime("torchscript", "torch", "pytorch_torchscript"),
}


def load(options: ServerOptions, *, cores: int) -> LoadedModel:
    """The model in the runtime that ``options`` name.

    Raises:
        LoadFailed: not a model, or not one that can be served as asked.
        OutOfMemory: it does not fit.
    """
    loads: Load = import_module(f"{_PACKAGE}.{RUNTIMES[options.runtime].module}").load
    model = loads(options, cores=cores)
    if options.max_batch_size > 1 and not model.batched:
        shapes = {tensor.name: list(tensor.shape) for tensor in (*model.metadata.inputs, *model.metadata.outputs)}
        raise LoadFailed(
            f"max_batch_size {options.max_batch_size} needs a free first dimension in every input and output, "
            f"but the model has {shapes} (-1 is free); use max_batch_size 1 or export it with a free batch dimension"
        )
    return model
