"""From a job's declared ops to one function per side of the model. The tables here are all the ops there are."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np

from follower.pipeline.ctc import ctc_decode
from follower.pipeline.image import channels_first, decode_frames, decode_image, normalize, resize
from follower.pipeline.protocol import Answer, Array, Postprocess, Preprocess
from follower.pipeline.raster import Raster
from follower.pipeline.scores import softmax, top_k
from follower.pipeline.text import tokenize
from shared.jobs.pipeline import PipelineSpec

PREPROCESS: Final[Mapping[str, Callable[[Any], Callable[[Any], Any]]]] = {
    "decode_image": decode_image,
    "decode_frames": decode_frames,
    "resize": resize,
    "normalize": normalize,
    "channels_first": channels_first,
    "tokenize": tokenize,
}
"""Op name -> maker of a function from the op's parameters. Bytes become a ``Raster``, or ids, in the first op."""

POSTPROCESS: Final[Mapping[str, Callable[[Any, Sequence[str]], Callable[[Any], Any]]]] = {
    "softmax": softmax,
    "top_k": top_k,
    "ctc_decode": ctc_decode,
}
"""Op name -> maker of a function from the op's parameters and the model's labels."""


def ops() -> tuple[str, ...]:
    """The names that a follower announces."""
    return (*PREPROCESS, *POSTPROCESS)


def build_preprocess(spec: PipelineSpec) -> Preprocess:
    """The function that runs per sample before the model. Without ops it gives the sample's bytes as uint8.

    Of a video it gives the frames, stacked along a first axis.

    The function raises PipelineFailed on a sample that it cannot process.
    """
    steps = [PREPROCESS[op.op](op) for op in spec.preprocess]

    def run(data: bytes) -> Array:
        value: Any = data
        for step in steps:
            value = [step(frame) for frame in value] if isinstance(value, list) else step(value)
        if isinstance(value, list):
            return np.stack([frame.tensor() for frame in value])
        if isinstance(value, Raster):
            return value.tensor()
        return value if isinstance(value, np.ndarray) else np.frombuffer(data, np.uint8)

    return run


def batch_of(spec: PipelineSpec, samples: Sequence[Array]) -> Array:
    """What the model gets of several pre-processed samples: one row each, or one row for each frame of each.

    Raises:
        ValueError: they are of different shapes.
    """
    return np.stack(samples) if spec.frames is None else np.concatenate(samples)


def outputs_of(spec: PipelineSpec, output: Array, samples: int) -> Array:
    """The model's output with one row for each sample: of a video, the mean over its frames.

    Raises:
        ValueError: the output has another number of rows than the batch had.
    """
    frames = spec.frames
    rows = samples * (frames or 1)
    if output.shape[:1] != (rows,):
        raise ValueError(f"{rows} rows were sent, an output of shape {output.shape} came back")
    if frames is None:
        return output
    means: Array = output.reshape(samples, frames, *output.shape[1:]).mean(axis=1)
    return means


def build_postprocess(spec: PipelineSpec, labels: Sequence[str] = ()) -> Postprocess:
    """The function that runs per sample after the model; it raises PipelineFailed on an output of the wrong shape.

    Raises:
        PipelineFailed: An op needs labels that the model's card does not have.
    """
    names = tuple(labels)
    steps = [POSTPROCESS[op.op](op, names) for op in spec.postprocess]

    def run(output: Array) -> Answer | None:
        value: Any = output
        for step in steps:
            value = step(value)
        return value if isinstance(value, Answer) else None

    return run
