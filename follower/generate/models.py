"""The model of an attempt: fetched by its digest, or generated on the spot."""

from dataclasses import dataclass
from pathlib import Path

from follower.generate.blob_cache import BlobCache
from model_repo.cards import ModelCard, parse_card
from shared.errors import AttemptFailed, InvalidModel
from shared.jobs.lifecycle import Cause
from shared.jobs.spec import CanonicalSpec, GeneratedModel
from shared.wire.assignment import Assignment, ModelPin


@dataclass(frozen=True)
class Model:
    """A model that can be served."""

    path: Path
    name: str
    card: ModelCard


def obtain_model(assignment: Assignment, target: Path, cache: BlobCache) -> Model:
    """Put the model's file at ``target``.

    Raises:
        AttemptFailed: MODEL_UNAVAILABLE where it cannot be had or made; DISK_FULL, FOLLOWER_ERROR.
    """
    try:
        if isinstance(assignment.spec.model, GeneratedModel):
            return _generate(assignment.spec.model.generate, target)
        if assignment.model is None:
            raise AttemptFailed(Cause.MODEL_UNAVAILABLE, f"no version of {assignment.spec.model.name} was pinned")
        return _fetch(assignment.model, target, cache)
    except InvalidModel as error:
        raise AttemptFailed(Cause.MODEL_UNAVAILABLE, error.detail) from error


def _generate(spec: CanonicalSpec, target: Path) -> Model:
    from model_repo.canonical.families import generate  # noqa: PLC0415 - onnx is slow to import, and seldom needed

    model = generate(spec)
    target.write_bytes(model.onnx_bytes)
    return Model(target, f"canonical-{spec.family}", model.card)


def _fetch(pin: ModelPin, target: Path, cache: BlobCache) -> Model:
    cache.link(pin, target)
    return Model(target, pin.name, parse_card(pin.card))
