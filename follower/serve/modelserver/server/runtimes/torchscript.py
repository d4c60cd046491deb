"""One TorchScript program in libtorch. The archive is opened here and nowhere else: it is a program of its author's.

It says nothing of its tensors, so its signature comes from the file that lies in it (``model_repo.torch_signature``).
"""

import warnings
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch  # type: ignore[import-not-found]

from follower.serve.modelserver.server.options import ServerOptions
from follower.serve.modelserver.server.refusal import LoadFailed, OutOfMemory, Refused, one_line
from follower.serve.modelserver.server.runtimes.protocol import EngineFacts, LoadedModel, Run
from follower.serve.modelserver.server.signature import can_batch
from follower.serve.openinference.tensors import BYTES, DTYPES, ModelMetadata, TensorInfo
from model_repo.cards import TensorCard
from model_repo.torch_signature import SIGNATURE_FILE, Signature, parse_signature
from shared.errors import InvalidModel

_ERRORS: Final = (torch.jit.Error, RuntimeError, TypeError, ValueError)
_ALLOCATION_MESSAGES: Final = ("not enough memory", "bad_alloc", "can't allocate memory")
_PRECISIONS: Final[Mapping[str, str]] = {"highest": "f32", "high": "tf32", "medium": "bf16"}


def load(options: ServerOptions, *, cores: int) -> LoadedModel:
    """One program that all instances call, each from a thread of its own; ``cores`` changes nothing."""
    del cores
    torch.set_num_threads(options.threads)
    warnings.filterwarnings("ignore", message="The given NumPy array is not writable")  # a request's own bytes
    module, signature = _open(options.model)
    _check_arguments(module, signature)
    metadata = ModelMetadata(
        name=options.name, inputs=_describe(signature.inputs), outputs=_describe(signature.outputs)
    )
    return LoadedModel(
        metadata=metadata,
        batched=can_batch(metadata),
        runs=[_runner(module, metadata) for _ in range(options.instances)],
        facts=EngineFacts(
            version=version("torch"),
            precision=_PRECISIONS[torch.get_float32_matmul_precision()],
            threads=options.instances * torch.get_num_threads(),
            streams=options.instances,
        ),
    )


def _open(path: Path) -> tuple[Any, Signature]:
    extra = {SIGNATURE_FILE: ""}
    try:
        module = torch.jit.load(str(path), map_location="cpu", _extra_files=extra).eval()
    except MemoryError as error:
        raise OutOfMemory("the model does not fit into memory") from error
    except _ERRORS as error:
        raise _out_of_memory(error) or LoadFailed(f"PyTorch refuses the model: {one_line(error)}") from error
    try:
        return module, parse_signature(extra[SIGNATURE_FILE])
    except InvalidModel as error:
        raise LoadFailed(one_line(error)) from error


def _check_arguments(module: Any, signature: Signature) -> None:
    """The program takes as many tensors as the signature names; which is which only their order says."""
    arguments = module.forward.schema.arguments[1:]  # without the program itself
    required = sum(not argument.has_default_value() for argument in arguments)
    names = [tensor.name for tensor in signature.inputs]
    if not required <= len(names) <= len(arguments):
        takes = [argument.name for argument in arguments]
        raise LoadFailed(f"{SIGNATURE_FILE} names the inputs {names}, but the program's forward takes {takes}")


def _describe(tensors: Sequence[TensorCard]) -> tuple[TensorInfo, ...]:
    for tensor in tensors:
        if tensor.datatype not in DTYPES or tensor.datatype == BYTES:
            raise LoadFailed(f"{tensor.name!r} is of type {tensor.datatype}, which this platform cannot carry")
    return tuple(TensorInfo(name=tensor.name, datatype=tensor.datatype, shape=tensor.shape) for tensor in tensors)


def _runner(module: Any, metadata: ModelMetadata) -> Run:
    names = [tensor.name for tensor in metadata.inputs]

    def run(inputs: Mapping[str, npt.NDArray[Any]]) -> Sequence[npt.NDArray[Any]]:
        try:
            with torch.inference_mode():
                answer = module(*[torch.from_numpy(inputs[name]) for name in names])
            return _outputs(answer, metadata.outputs)
        except MemoryError as error:
            raise OutOfMemory("an inference does not fit into memory") from error
        except _ERRORS as error:
            refused = Refused(f"the model failed: {_last_line(error)}", HTTPStatus.INTERNAL_SERVER_ERROR)
            raise _out_of_memory(error) or refused from error

    return run


def _outputs(answer: Any, wanted: Sequence[TensorInfo]) -> list[npt.NDArray[Any]]:
    """A tensor, a list or tuple of them in the signature's order, or a dictionary by its names."""
    if isinstance(answer, dict) and answer.keys() >= {tensor.name for tensor in wanted}:
        answer = [answer[tensor.name] for tensor in wanted]
    tensors = [answer] if isinstance(answer, torch.Tensor) else answer
    if not isinstance(tensors, list | tuple) or len(tensors) != len(wanted):
        raise TypeError(f"it gave {_kind(answer)}; its signature names {[tensor.name for tensor in wanted]}")
    return [_output(tensor, info) for tensor, info in zip(tensors, wanted, strict=True)]


def _output(tensor: Any, info: TensorInfo) -> npt.NDArray[Any]:
    array = np.ascontiguousarray(tensor.numpy())
    if array.dtype != DTYPES[info.datatype]:
        raise TypeError(f"output {info.name!r} is of {array.dtype}; its signature says {info.datatype}")
    return array


def _kind(answer: Any) -> str:
    if isinstance(answer, dict):
        return f"a dictionary of {sorted(answer)}"
    return f"{len(answer)} values" if isinstance(answer, list | tuple) else f"one {type(answer).__name__}"


def _last_line(error: Exception) -> str:
    """What was wrong; the lines before it are the program's own traceback."""
    return str(error).strip().rpartition("\n")[2]


def _out_of_memory(error: Exception) -> OutOfMemory | None:
    message = one_line(error)
    return OutOfMemory(message) if any(sign in message for sign in _ALLOCATION_MESSAGES) else None
