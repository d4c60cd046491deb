"""From a job's declared ops to one function per side of the model. The tables here are all the ops there are."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np

from follower.pipeline.ctc import ctc_decode
from follower.pipeline.image import channels_first, decode_frames, decode_image, normalize, resize
from follower.pipeline.protocol import Answer, Array, Parts, Postprocess, Preprocess
from follower.pipeline.raster import Raster
from follower.pipeline.scores import softmax, top_k
from follower.pipeline.text import tokenize
from shared.jobs.feeding import Feed, Part
from shared.jobs.pipeline import PipelineSpec

PREPROCESS: Final[Mapping[str, Callable[[Any], Callable[[Any], Any]]]] = {
    "decode_image": decode_image,
    "decode_frames": decode_frames,
    "resize": resize,
    "normalize": normalize,
    "channels_first": channels_first,
    "tokenize": tokenize,
}
"""Op name -> maker of a function from the op's parameters. Bytes become a ``Raster``, or tokens, in the first op."""

POSTPROCESS: Final[Mapping[str, Callable[[Any, Sequence[str]], Callable[[Any], Any]]]] = {
    "softmax": softmax,
    "top_k": top_k,
    "ctc_decode": ctc_decode,
}
"""Op name -> maker of a function from the op's parameters and the model's labels."""


def ops() -> tuple[str, ...]:
    """The names that a follower announces."""
    return (*PREPROCESS, *POSTPROCESS)


def build_parts(spec: PipelineSpec, tokenizer: str | None = None) -> Callable[[bytes], Parts]:
    """The function that runs per sample before the model. Without ops it gives the sample's bytes as uint8.

    Of a video it gives the frames, stacked along a first axis; of a text what its tokenizer says. ``tokenizer``: the
    model's own, for an op that asks for it.

    The function raises PipelineFailed on a sample that it cannot process.

    Raises:
        PipelineFailed: an op cannot be made.
    """
    op = spec.tokenize
    if op is not None:  # takes bytes, and nothing follows it: the order of ops is checked with the job
        return tokenize(op, tokenizer)
    steps = [PREPROCESS[op.op](op) for op in spec.preprocess]

    def run(data: bytes) -> Parts:
        value: Any = data
        for step in steps:
            value = [step(frame) for frame in value] if isinstance(value, list) else step(value)
        if isinstance(value, list):
            return {"sample": np.stack([frame.tensor() for frame in value])}
        return {"sample": value.tensor() if isinstance(value, Raster) else np.frombuffer(data, np.uint8)}

    return run


def build_preprocess(spec: PipelineSpec, tokenizer: str | None = None) -> Preprocess:
    """The same, for a model with one input: the sample itself, and of a text its ids.

    Raises:
        PipelineFailed: an op cannot be made.
    """
    parts = build_parts(spec, tokenizer)
    first: Part = "sample" if spec.tokenize is None else "ids"
    return lambda data: parts(data)[first]


def inputs_of(spec: PipelineSpec, feeds: Sequence[Feed], samples: Sequence[Parts]) -> dict[str, Array]:
    """What each input of the model gets of several pre-processed samples, by its name, in the model's order.

    Raises:
        ValueError: they are of different shapes.
    """
    return {feed.name: batch_of(spec, [sample[feed.part] for sample in samples]) for feed in feeds}


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
