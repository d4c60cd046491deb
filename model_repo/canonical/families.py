"""The families of canonical networks, and the one call that makes a model. This table is all of them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from model_repo.canonical import attention, cnn, fc, lstm
from model_repo.canonical.architecture import input_shape
from model_repo.canonical.describe import canonical_digest, describe
from model_repo.canonical.graph import GraphBuilder
from model_repo.cards import ModelCard
from shared.errors import InvalidModel
from shared.jobs.formats import TRAINED
from shared.jobs.spec import CanonicalSpec

__all__ = ["FAMILIES", "CanonicalModel", "canonical_digest", "describe", "families", "generate"]

FAMILIES: Final[Mapping[str, Callable[[Any, GraphBuilder], str]]] = {
    "fc": fc.build,
    "cnn": cnn.build,
    "lstm": lstm.build,
    "attention": attention.build,
}
"""Family -> what adds its body to a graph, from the input to a value of shape (batch, width)."""


@dataclass(frozen=True)
class CanonicalModel:
    """A generated model."""

    onnx_bytes: bytes = field(repr=False)
    card: ModelCard


def families() -> tuple[str, ...]:
    """The names that a follower announces."""
    return tuple(FAMILIES)


def generate(spec: CanonicalSpec) -> CanonicalModel:
    """Makes the ONNX model of ``spec``: float32, free batch axis, input ``input``, output ``scores``.

    The same spec gives the same bytes; ``canonical_digest`` names them.

    Raises:
        InvalidModel: Its weights would not fit into one ONNX file, or it is to be trained, which is done elsewhere.
    """
    if spec.train_steps:
        raise InvalidModel(f"a canonical model that is trained is written as {' or '.join(TRAINED)}, not as onnx")
    card = describe(spec)
    graph = GraphBuilder(spec.seed)
    body = FAMILIES[spec.family](spec, graph)
    return CanonicalModel(graph.finish(f"canonical-{spec.family}", body, spec.width, input_shape(spec)), card)
