"""One model, ONNX or OpenVINO's own, compiled by OpenVINO for this machine's CPU: one stream for each instance."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import openvino  # type: ignore[import-not-found]

from follower.serve.modelserver.server.options import ServerOptions
from follower.serve.modelserver.server.refusal import LoadFailed, OutOfMemory, Refused, one_line
from follower.serve.modelserver.server.runtimes.protocol import EngineFacts, LoadedModel, Run
from follower.serve.modelserver.server.signature import can_batch
from follower.serve.openinference.tensors import ModelMetadata, TensorInfo

_DATATYPES: Final[Mapping[str, str]] = {
    "boolean": "BOOL",
    "u8": "UINT8",
    "u16": "UINT16",
    "u32": "UINT32",
    "u64": "UINT64",
    "i8": "INT8",
    "i16": "INT16",
    "i32": "INT32",
    "i64": "INT64",
    "f16": "FP16",
    "f32": "FP32",
    "f64": "FP64",
}

Names = Mapping[str, str]
"""Place of a port -> its name in the file: compiling merges the names of tensors that turn out to be one."""

_ALLOCATION_MESSAGES: Final = ("bad_alloc", "Failed to allocate", "could not allocate")


def load(options: ServerOptions, *, cores: int) -> LoadedModel:
    """Compiles the model; the engine may take fewer streams and threads than asked for, and says so in the facts."""
    names, compiled = _compile(options, min(options.instances * options.threads, cores))
    metadata = ModelMetadata(
        name=options.name, inputs=_describe(names, compiled.inputs), outputs=_describe(names, compiled.outputs)
    )
    return LoadedModel(
        metadata=metadata,
        batched=can_batch(metadata),
        runs=[_runner(compiled.create_infer_request()) for _ in range(options.instances)],
        facts=EngineFacts(
            version=version("openvino"),
            precision=_precision(compiled),
            threads=int(compiled.get_property("INFERENCE_NUM_THREADS")),
            streams=int(compiled.get_property("NUM_STREAMS")),
        ),
    )


def _compile(options: ServerOptions, threads: int) -> tuple[Names, Any]:
    """Precision is the engine's choice, as it is for everybody who starts it without asking for one."""
    settings = {"NUM_STREAMS": options.instances, "INFERENCE_NUM_THREADS": threads}
    core = openvino.Core()
    try:
        model = core.read_model(str(_graph_file(options.model)))
        names = {_place(port): port.get_any_name() for port in (*model.inputs, *model.outputs)}
        return names, core.compile_model(model, "CPU", settings)
    except MemoryError as error:
        raise OutOfMemory("the model does not fit into memory") from error
    except RuntimeError as error:
        raise _out_of_memory(error) or LoadFailed(f"OpenVINO refuses the model: {one_line(error)}") from error


def _graph_file(model: Path) -> Path:
    """Of OpenVINO's own format, which is a folder, the graph; it finds the weights beside it."""
    return next(model.glob("*.xml")) if model.is_dir() else model


def _place(port: Any) -> str:
    name: str = port.node.get_friendly_name()
    return name


def _precision(compiled: Any) -> str:
    """What floating-point operators really run in: bf16 on CPUs that have it, unless asked otherwise."""
    name: str = compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name()
    return "as-stored" if name in {"dynamic", "undefined"} else name


def _describe(names: Names, ports: Sequence[Any]) -> tuple[TensorInfo, ...]:
    return tuple(
        TensorInfo(name=names[_place(port)], datatype=_datatype(port), shape=_shape(port.partial_shape))
        for port in ports
    )


def _datatype(port: Any) -> str:
    name = port.element_type.get_type_name()
    if name not in _DATATYPES:
        raise LoadFailed(f"{port.get_any_name()!r} is of type {name}, which this platform cannot carry")
    return _DATATYPES[name]


def _shape(shape: Any) -> tuple[int, ...]:
    if shape.rank.is_dynamic:
        raise LoadFailed("a tensor of the model has no known number of axes; export it with fixed ones")
    return tuple(size.get_length() if size.is_static else -1 for size in shape)


def _runner(request: Any) -> Run:
    def run(inputs: Mapping[str, npt.NDArray[Any]]) -> Sequence[npt.NDArray[Any]]:
        """The request's own memory is overwritten by the next inference, so the outputs are copied."""
        try:
            return [np.array(output) for output in request.infer(dict(inputs), share_inputs=True).to_tuple()]
        except MemoryError as error:
            raise OutOfMemory("an inference does not fit into memory") from error
        except (RuntimeError, TypeError, ValueError) as error:
            refused = Refused(f"the model failed: {one_line(error)}", HTTPStatus.INTERNAL_SERVER_ERROR)
            raise _out_of_memory(error) or refused from error

    return run


def _out_of_memory(error: Exception) -> OutOfMemory | None:
    message = one_line(error)
    return OutOfMemory(message) if any(sign in message for sign in _ALLOCATION_MESSAGES) else None
