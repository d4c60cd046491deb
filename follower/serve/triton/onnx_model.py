"""The model that Triton's Python back end runs: one ONNX file in ONNX Runtime. Copied as ``model.py``, never imported.

It runs in the back end's own process, with the follower's interpreter and nothing of the follower: only numpy and ONNX
Runtime. Tensors are handed over by DLPack, because the back end's own way to numpy was built for numpy 1 and with
numpy 2 it silently answers nothing.
"""

import ctypes
import json
import mmap
import struct
from collections.abc import Mapping, Sequence
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime  # type: ignore[import-untyped]
import triton_python_backend_utils as pb_utils  # type: ignore[import-not-found]

Array = npt.NDArray[Any]

USED = b"used_dltensor"
"""The name of a capsule that somebody has taken over. The back end writes another one, at which numpy complains."""

_set_capsule_name = ctypes.pythonapi.PyCapsule_SetName
_set_capsule_name.argtypes = (ctypes.py_object, ctypes.c_char_p)

ENGINE_FILE = "engine.json"  # what really executes, for the follower to read


COUNTER_SUFFIX = ".samples"


class SampleCounter:
    """How many samples one instance has executed: Triton itself counts requests where it knows of no batch."""

    def __init__(self, path: Path) -> None:
        path.write_bytes(bytes(8))
        with path.open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), 8)
        self._count = 0

    def add(self, samples: int) -> None:
        self._count += samples
        struct.pack_into("<q", self._memory, 0, self._count)


def samples_of(tensors: Mapping[str, Array]) -> int:
    """The first dimension that all inputs share; 1 where they share none."""
    sizes = {array.shape[0] if array.ndim else None for array in tensors.values()}
    size = sizes.pop() if len(sizes) == 1 else None
    return 1 if size is None else int(size)


class TritonPythonModel:
    """The name and the methods are what the back end calls."""

    def initialize(self, args: Mapping[str, Any]) -> None:
        """Opens the session; what ONNX Runtime refuses becomes the reason why the model does not load."""
        config = json.loads(args["model_config"])
        options = {name: value["string_value"] for name, value in config["parameters"].items()}
        settings = onnxruntime.SessionOptions()
        settings.intra_op_num_threads = int(options["threads"])
        settings.inter_op_num_threads = 1
        settings.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
        settings.log_severity_level = 3
        settings.add_session_config_entry("session.intra_op.allow_spinning", options["spin"])
        self._session = onnxruntime.InferenceSession(options["model"], settings, providers=["CPUExecutionProvider"])
        self._inputs = [tensor["name"] for tensor in config["input"]]
        self._outputs = [tensor["name"] for tensor in config["output"]]
        reports = Path(options["reports"])
        self._samples = SampleCounter(reports / f"{args['model_instance_name']}{COUNTER_SUFFIX}")
        told = {"engine": "onnxruntime", "version": onnxruntime.__version__, "providers": self._session.get_providers()}
        (reports / ENGINE_FILE).write_text(json.dumps(told), encoding="utf-8")

    def execute(self, requests: Sequence[Any]) -> list[Any]:
        """One answer for each request of a batch, in order."""
        tensors = [self._read(request) for request in requests]
        self._samples.add(sum(map(samples_of, tensors)))
        if len(tensors) > 1:
            try:
                return [self._answer(rows) for rows in self._run_together(tensors)]
            except Exception:  # noqa: BLE001 - whatever it is, each request gets an answer of its own
                pb_utils.Logger.log_warn("a batch failed; its requests are executed one by one")
        return [self._run_alone(one) for one in tensors]

    def _read(self, request: Any) -> dict[str, Array]:
        return {name: np.from_dlpack(pb_utils.get_input_tensor_by_name(request, name)) for name in self._inputs}

    def _run_together(self, tensors: Sequence[Mapping[str, Array]]) -> list[list[Array]]:
        """Triton puts requests of one shape together; the rows of each output belong to them in order."""
        sizes = [one[self._inputs[0]].shape[0] for one in tensors]
        batch = {name: np.concatenate([one[name] for one in tensors]) for name in self._inputs}
        outputs = self._session.run(self._outputs, batch)
        if any(output.ndim == 0 or output.shape[0] != sum(sizes) for output in outputs):
            raise ValueError("an output has not one row for each sample")
        return [[output[start:end] for output in outputs] for start, end in pairwise(accumulate(sizes, initial=0))]

    def _run_alone(self, tensors: Mapping[str, Array]) -> Any:
        try:
            return self._answer(self._session.run(self._outputs, tensors))
        except Exception as error:  # noqa: BLE001 - one request's failure is its answer
            return pb_utils.InferenceResponse(error=pb_utils.TritonError(" ".join(str(error).split())))

    def _answer(self, outputs: Sequence[Array]) -> Any:
        tensors = [_tensor(name, output) for name, output in zip(self._outputs, outputs, strict=True)]
        return pb_utils.InferenceResponse(output_tensors=tensors)


def _tensor(name: str, output: Array) -> Any:
    capsule = np.ascontiguousarray(output).__dlpack__()
    tensor = pb_utils.Tensor.from_dlpack(name, capsule)
    _set_capsule_name(capsule, USED)
    return tensor
