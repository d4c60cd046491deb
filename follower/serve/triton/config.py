"""A model's configuration for Triton (``config.pbtxt``), from what the ONNX file says and the job asks. Pure.

Source: Triton's ``model_config.proto`` and its page "Model Configuration".
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from follower.serve.triton.layout import BackEndName
from model_repo.onnx_facts import OnnxFacts, TensorFacts
from shared.errors import AttemptFailed
from shared.jobs.lifecycle import Cause
from shared.jobs.spec import ServiceSpec

_TYPES: Final[Mapping[str, str]] = {
    name: f"TYPE_{name}"
    for name in (
        "BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64", "FP16", "FP32", "FP64",
    )
}  # fmt: skip
"""Datatypes that DLPack carries between Triton and numpy; strings are not among them."""

_US_PER_MS: Final = 1_000


@dataclass(frozen=True, kw_only=True)
class BackEnd:
    """Which of Triton's back ends executes the model, and what it is told."""

    name: BackEndName
    parameters: Mapping[str, str]


def python_back_end(model: Path, reports: Path, service: ServiceSpec, *, cores: int) -> BackEnd:
    """Our model program in the Python back end: it opens ``model``, and reports to files in folder ``reports``."""
    spin = "1" if _may_spin(service, cores) else "0"
    parameters = {"model": str(model), "reports": str(reports), "threads": str(service.threads), "spin": spin}
    return BackEnd(name="python", parameters=parameters)


def native_back_end(service: ServiceSpec) -> BackEnd:
    """ONNX Runtime's own back end. Source: its page's "Model Config Options"; 0 is sequential execution.

    It knows no setting for spinning: its idle threads spin as ONNX Runtime's default has it.
    """
    parameters = {"intra_op_thread_count": str(service.threads), "inter_op_thread_count": "1", "execution_mode": "0"}
    return BackEnd(name="onnxruntime", parameters=parameters)


def model_config(name: str, facts: OnnxFacts, service: ServiceSpec, back_end: BackEnd) -> str:
    """The whole file.

    Without batching (``max_batch_size: 1``) Triton is told of no batch dimension: a request of any number of samples
    is executed as it is. With it, the first dimension is Triton's, requests of more samples are refused, and the
    dynamic batcher waits ``max_delay_ms`` for others.

    Raises:
        AttemptFailed: MODEL_LOAD_FAILED where the model cannot be batched as asked, or a tensor cannot be carried.
    """
    batched = service.batching.max_batch_size > 1
    if batched:
        _require_batch(facts, service.batching.max_batch_size)
    _require_types((*facts.inputs, *facts.outputs))
    lines = [
        f"name: {_quoted(name)}",
        f"backend: {_quoted(back_end.name)}",
        f"max_batch_size: {service.batching.max_batch_size if batched else 0}",
        *_tensors("input", facts.inputs, batched=batched),
        *_tensors("output", facts.outputs, batched=batched),
        f"instance_group [ {{ kind: KIND_CPU count: {service.instances} }} ]",
        *(_parameter(key, value) for key, value in back_end.parameters.items()),
    ]
    if batched:
        delay_us = round(service.batching.max_delay_ms * _US_PER_MS)
        lines.append(f"dynamic_batching {{ max_queue_delay_microseconds: {delay_us} }}")
    return "\n".join(lines) + "\n"


def _tensors(role: str, tensors: Iterable[TensorFacts], *, batched: bool) -> Iterator[str]:
    for tensor in tensors:
        dims = tensor.shape[1:] if batched else tensor.shape
        # Triton knows no tensor without a dimension: one element stands for it, and its shape is restored
        shape = ", ".join(map(str, dims)) if dims else "1"
        reshape = "" if dims else " reshape { shape: [ ] }"
        yield (
            f"{role} [ {{ name: {_quoted(tensor.name)} data_type: {_TYPES[tensor.datatype]} dims: [ {shape} ]"
            f"{reshape} }} ]"
        )


def _parameter(key: str, value: str) -> str:
    return f"parameters {{ key: {_quoted(key)} value {{ string_value: {_quoted(value)} }} }}"


def _quoted(text: str) -> str:
    """A string of protobuf's text format; JSON's escapes of ASCII are among those that it knows."""
    return json.dumps(text, ensure_ascii=False)


def _require_batch(facts: OnnxFacts, max_batch_size: int) -> None:
    shapes = {tensor.name: list(tensor.shape) for tensor in (*facts.inputs, *facts.outputs)}
    if not all(shape[:1] == [-1] for shape in shapes.values()):
        raise AttemptFailed(
            Cause.MODEL_LOAD_FAILED,
            f"max_batch_size {max_batch_size} needs a free first dimension in every input and output, "
            f"but the model has {shapes} (-1 is free); use max_batch_size 1 or export it with a free batch dimension",
        )


def _require_types(tensors: Iterable[TensorFacts]) -> None:
    for tensor in tensors:
        if tensor.datatype not in _TYPES:
            raise AttemptFailed(
                Cause.MODEL_LOAD_FAILED,
                f"{tensor.name!r} is of datatype {tensor.datatype}, which Triton's Python back end cannot take over by"
                f" DLPack, nor this platform hand to another one; they can: {', '.join(_TYPES)}",
            )


def _may_spin(service: ServiceSpec, cores: int) -> bool:
    """As for our own server: idle compute threads burn a core only where nothing else wants it."""
    return service.threads > 1 and service.instances * service.threads < cores
