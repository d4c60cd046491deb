"""A SavedModel with TensorFlow's own batch scheduler around its signature.

``tf.nondifferentiable_batch_function`` is the operator on top of the scheduler that TensorFlow Serving uses too. Two
callbacks stand in the batched graph, before and after the model; they read the monotonic clock, so that the wait in
the scheduler and the execution are told apart. They cost two passes through the interpreter per batch.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import tensorflow as tf  # type: ignore[import-untyped]

from follower.serve.openinference.tensors import ModelMetadata, TensorInfo
from follower.serve.tensorflow.batching_file import BatchingParameters
from follower.serve.tensorflow.datatypes import DATATYPE_OF, SIGNATURE
from follower.serve.tensorflow.server.counters import Counters
from follower.serve.tensorflow.server.refusal import Code, LoadFailed, Refused

Array = npt.NDArray[Any]

_CODES: Final[Sequence[tuple[type[Exception], Code]]] = (
    (tf.errors.InvalidArgumentError, "INVALID_ARGUMENT"),
    (tf.errors.UnavailableError, "UNAVAILABLE"),
    (tf.errors.ResourceExhaustedError, "RESOURCE_EXHAUSTED"),
)


@dataclass(frozen=True, kw_only=True)
class Predicted:
    """One request's outputs by name, and where its time went."""

    outputs: Mapping[str, Array]
    queue_ns: int  # from when its tensors were made until its batch began
    inference_ns: int  # of the batch that it was part of
    batch_size: int  # samples of that batch


class ServedModel:
    """One signature that takes requests from many threads."""

    def __init__(self, name: str, path: Path, batching: BatchingParameters | None, counters: Counters) -> None:
        """Loads ``path``, the folder of one version.

        Raises:
            LoadFailed: no SavedModel, not the signature that is served, or not one that can be batched.
        """
        self._counters = counters
        self._loaded, self._signature = _load(path)  # the variables live as long as the object that holds them
        self._inputs = dict(self._signature.structured_input_signature[1])
        outputs = dict(self._signature.structured_outputs)
        self.metadata = ModelMetadata(name=name, inputs=_describe(self._inputs), outputs=_describe(outputs))
        self._output_names = [tensor.name for tensor in self.metadata.outputs]
        self._most_samples = batching.max_batch_size if batching else None
        self._run = self._batched(batching) if batching else self._at_once

    def predict(self, inputs: Mapping[str, Array]) -> Predicted:
        """Executes one request; blocks until its batch is done.

        Raises:
            Refused: it does not fit the signature, or the model failed.
        """
        self._check(inputs)
        try:
            predicted = self._run({name: tf.constant(inputs[name], spec.dtype) for name, spec in self._inputs.items()})
        except tf.errors.OpError as error:
            raise Refused(_code_of(error), _said(error)) from error
        self._counters.answered("OK", predicted.queue_ns)
        return predicted

    def _check(self, inputs: Mapping[str, Array]) -> None:
        if inputs.keys() != self._inputs.keys():
            raise Refused(
                "INVALID_ARGUMENT",
                f"signature {SIGNATURE!r} takes inputs {sorted(self._inputs)}, the request has {sorted(inputs)}",
            )
        for name, spec in self._inputs.items():
            found = tf.as_dtype(inputs[name].dtype)
            if found != spec.dtype:
                message = f"input {name!r} is of type {spec.dtype.name}, the request sends {found.name}"
                raise Refused("INVALID_ARGUMENT", message)
            if not spec.shape.is_compatible_with(inputs[name].shape):
                message = f"input {name!r} has shape {spec.shape}, the request sends {list(inputs[name].shape)}"
                raise Refused("INVALID_ARGUMENT", message)
        if self._most_samples is not None:
            self._check_batch({name: array.shape[0] for name, array in inputs.items()})

    def _check_batch(self, sizes: Mapping[str, int]) -> None:
        if len(set(sizes.values())) > 1:
            raise Refused("INVALID_ARGUMENT", f"inputs must have the same first dimension, but they have {sizes}")
        size = next(iter(sizes.values()))
        if size > (self._most_samples or size):
            message = f"a request of {size} samples is larger than the maximum batch size {self._most_samples}"
            raise Refused("INVALID_ARGUMENT", message)

    def _at_once(self, tensors: Mapping[str, Any]) -> Predicted:
        """Without batching each request is executed as it comes."""
        start_ns = time.monotonic_ns()
        outputs = {name: output.numpy() for name, output in self._signature(**tensors).items()}
        inference_ns = time.monotonic_ns() - start_ns
        shapes = [tensor.shape for tensor in tensors.values()]
        size = shapes[0][0] if shapes and shapes[0].rank else 1
        self._counters.executed(size, inference_ns)
        return Predicted(outputs=outputs, queue_ns=0, inference_ns=inference_ns, batch_size=size)

    def _batched(self, parameters: BatchingParameters) -> Callable[[Mapping[str, Any]], Predicted]:
        self._require_free_batch()
        names = sorted(self._inputs)
        batched = _batch_function(self._signature, names, self._output_names, parameters, self._counters)
        traced = tf.function(batched, input_signature=[self._inputs[name] for name in names], autograph=False)
        execute = traced.get_concrete_function()

        def run(tensors: Mapping[str, Any]) -> Predicted:
            queued_ns = time.monotonic_ns()
            *outputs, stamps = execute(*(tensors[name] for name in names))
            began_ns, ended_ns, size = stamps.numpy()[0].tolist()
            arrays = [output.numpy() for output in outputs]
            return Predicted(
                outputs=dict(zip(self._output_names, arrays, strict=True)),
                queue_ns=max(0, began_ns - queued_ns),
                inference_ns=ended_ns - began_ns,
                batch_size=size,
            )

        return run

    def _require_free_batch(self) -> None:
        tensors = (*self.metadata.inputs, *self.metadata.outputs)
        if not self._inputs or any(tensor.shape[:1] != (-1,) for tensor in tensors):
            shapes = {tensor.name: list(tensor.shape) for tensor in tensors}
            raise LoadFailed(
                f"batching needs a free first dimension in every input and output, but the model has {shapes} "
                "(-1 is free); use max_batch_size 1 or export it with a free batch dimension"
            )


def _batch_function(
    signature: Any, inputs: Sequence[str], outputs: Sequence[str], parameters: BatchingParameters, counters: Counters
) -> Callable[..., list[Any]]:
    """The signature behind the batch scheduler; its last output is (began, ended, size) for each sample."""

    def clock() -> np.int64:
        return np.int64(time.monotonic_ns())

    def count(began_ns: np.int64, size: np.int32) -> np.int64:
        ended_ns = time.monotonic_ns()
        counters.executed(int(size), ended_ns - int(began_ns))
        return np.int64(ended_ns)

    @tf.nondifferentiable_batch_function(  # type: ignore[untyped-decorator]
        parameters.num_batch_threads,
        parameters.max_batch_size,
        parameters.batch_timeout_micros,
        max_enqueued_batches=parameters.max_enqueued_batches,
        autograph=False,
        enable_large_batch_splitting=False,
    )
    def batched(*tensors: Any) -> list[Any]:
        size = tf.shape(tensors[0])[0]
        with tf.control_dependencies(tensors):
            began = tf.numpy_function(clock, [], tf.int64)
        with tf.control_dependencies([began]):
            named = signature(**{name: tf.identity(tensor) for name, tensor in zip(inputs, tensors, strict=True)})
        results = [named[name] for name in outputs]
        with tf.control_dependencies(results):
            ended = tf.numpy_function(count, [began, size], tf.int64)
        stamps = tf.stack([tf.reshape(began, []), tf.reshape(ended, []), tf.cast(size, tf.int64)])
        return [*results, tf.tile(stamps[tf.newaxis], [size, 1])]

    around: Callable[..., list[Any]] = batched
    return around


def _code_of(error: Exception) -> Code:
    return next((code for kind, code in _CODES if isinstance(error, kind)), "INTERNAL")


def _load(path: Path) -> tuple[Any, Any]:
    try:
        loaded = tf.saved_model.load(str(path))
    except Exception as error:
        # whatever a broken file makes of the loader is the file's fault
        raise LoadFailed(f"TensorFlow refuses the SavedModel: {_one_line(error)}") from error
    if SIGNATURE not in loaded.signatures:
        found = ", ".join(sorted(loaded.signatures)) or "none"
        raise LoadFailed(f"the SavedModel has no signature {SIGNATURE!r}; its signatures: {found}")
    return loaded, loaded.signatures[SIGNATURE]


def _describe(specs: Mapping[str, Any]) -> tuple[TensorInfo, ...]:
    """Ordered by name."""
    return tuple(_tensor(name, spec) for name, spec in sorted(specs.items()))


def _tensor(name: str, spec: Any) -> TensorInfo:
    if spec.shape.rank is None:
        raise LoadFailed(f"{name!r} is of unknown rank; export the model with a shape for it")
    if spec.dtype.as_datatype_enum not in DATATYPE_OF:
        raise LoadFailed(f"{name!r} is of type {spec.dtype.name}, which cannot be sent here")
    shape = tuple(-1 if size is None else size for size in spec.shape.as_list())
    return TensorInfo(name=name, datatype=DATATYPE_OF[spec.dtype.as_datatype_enum], shape=shape)


def _said(error: Exception) -> str:
    """The line with the reason: around it stand the places in the source that made each node."""
    lines = [line for line in str(error).splitlines() if line.strip() and not line[0].isspace()]
    reasons = [line for line in lines if not line.startswith(("Detected at", "Graph execution error"))]
    return reasons[-1].strip() if reasons else _one_line(error)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
