"""One ONNX model as sessions of ONNX Runtime that run side by side."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import onnxruntime  # type: ignore[import-untyped]
from onnxruntime.capi import onnxruntime_pybind11_state as ort  # type: ignore[import-untyped]

from follower.serve.modelserver.server.options import ServerOptions
from follower.serve.modelserver.server.refusal import LoadFailed, OutOfMemory, Refused, one_line
from follower.serve.modelserver.server.runtimes.protocol import EngineFacts, LoadedModel, Run
from follower.serve.modelserver.server.signature import can_batch
from follower.serve.openinference.tensors import ModelMetadata, TensorInfo

_DATATYPES: Final[Mapping[str, str]] = {
    "tensor(bool)": "BOOL",
    "tensor(uint8)": "UINT8",
    "tensor(uint16)": "UINT16",
    "tensor(uint32)": "UINT32",
    "tensor(uint64)": "UINT64",
    "tensor(int8)": "INT8",
    "tensor(int16)": "INT16",
    "tensor(int32)": "INT32",
    "tensor(int64)": "INT64",
    "tensor(float16)": "FP16",
    "tensor(float)": "FP32",
    "tensor(double)": "FP64",
    "tensor(string)": "BYTES",
}

_RUNTIME_ERRORS: Final = (
    ort.EPFail,
    ort.EngineError,
    ort.Fail,
    ort.InvalidArgument,
    ort.InvalidGraph,
    ort.InvalidProtobuf,
    ort.NoModel,
    ort.NoSuchFile,
    ort.NotImplemented,
    ort.RuntimeException,
    RuntimeError,  # any other C++ exception
    ValueError,  # from the Python layer
)

_ALLOCATION_MESSAGES: Final = ("bad_alloc", "Failed to allocate memory", "bad allocation")
_ERROR_SEVERITY: Final = 3


def load(options: ServerOptions, *, cores: int) -> LoadedModel:
    """One session for each instance."""
    settings = session_options(options, cores=cores)
    sessions = [_open(options.model, settings) for _ in range(options.instances)]
    metadata = ModelMetadata(
        name=options.name, inputs=_describe(sessions[0].get_inputs()), outputs=_describe(sessions[0].get_outputs())
    )
    return LoadedModel(
        metadata=metadata,
        batched=can_batch(metadata),
        runs=[_runner(session) for session in sessions],
        facts=EngineFacts(
            version=onnxruntime.__version__,
            precision="as-stored",
            threads=options.instances * settings.intra_op_num_threads,
            streams=options.instances,
        ),
    )


def session_options(options: ServerOptions, *, cores: int) -> onnxruntime.SessionOptions:
    """Threads as asked for, and no pool across operators."""
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = options.threads
    settings.inter_op_num_threads = 1
    settings.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    settings.log_severity_level = _ERROR_SEVERITY
    spin = may_spin(options.threads, options.instances, cores)
    settings.add_session_config_entry("session.intra_op.allow_spinning", "1" if spin else "0")
    return settings


def may_spin(threads: int, instances: int, cores: int) -> bool:
    """Whether idle compute threads may burn their core while they wait for work.

    Spinning saves a wake-up per operator, but only on cores that nothing else wants: the compute threads of all
    instances and the thread that answers HTTP must each have one. With one thread there is no pool to spin.
    """
    return threads > 1 and instances * threads < cores


def _open(path: Path, settings: onnxruntime.SessionOptions) -> onnxruntime.InferenceSession:
    try:
        return onnxruntime.InferenceSession(str(path), settings, providers=["CPUExecutionProvider"])
    except MemoryError as error:
        raise OutOfMemory("the model does not fit into memory") from error
    except _RUNTIME_ERRORS as error:
        raise _out_of_memory(error) or LoadFailed(f"ONNX Runtime refuses the model: {one_line(error)}") from error


def _describe(arguments: Sequence[Any]) -> tuple[TensorInfo, ...]:
    return tuple(
        TensorInfo(name=argument.name, datatype=_datatype(argument), shape=_shape(argument.shape))
        for argument in arguments
    )


def _datatype(argument: Any) -> str:
    if argument.type not in _DATATYPES:
        raise LoadFailed(f"{argument.name!r} is of type {argument.type}, which the protocol cannot carry")
    return _DATATYPES[argument.type]


def _shape(shape: Sequence[int | str | None]) -> tuple[int, ...]:
    return tuple(size if isinstance(size, int) and size >= 0 else -1 for size in shape)


def _runner(session: onnxruntime.InferenceSession) -> Run:
    def run(inputs: Mapping[str, npt.NDArray[Any]]) -> Sequence[npt.NDArray[Any]]:
        try:
            return [np.asarray(output) for output in session.run(None, inputs)]
        except MemoryError as error:
            raise OutOfMemory("an inference does not fit into memory") from error
        except _RUNTIME_ERRORS as error:
            refused = Refused(f"the model failed: {one_line(error)}", HTTPStatus.INTERNAL_SERVER_ERROR)
            raise _out_of_memory(error) or refused from error

    return run


def _out_of_memory(error: Exception) -> OutOfMemory | None:
    message = one_line(error)
    return OutOfMemory(message) if any(sign in message for sign in _ALLOCATION_MESSAGES) else None
