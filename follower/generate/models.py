"""The model of an attempt: fetched by its digest, or generated on the spot, in a format that the platform loads."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from follower.generate.blob_cache import BlobCache
from follower.generate.exported_models import SAVEDMODEL, TORCHSCRIPT
from model_repo import openvino_tar, savedmodel_tar
from model_repo.cards import ModelCard, parse_card
from shared.errors import AttemptFailed, InvalidModel
from shared.jobs.formats import SERVES, SUFFIXES, ModelFormat, ways_to_serve
from shared.jobs.lifecycle import Cause
from shared.jobs.spec import CanonicalSpec, GeneratedModel, ModelSpec, NamedModel, ServiceSpec
from shared.wire.assignment import Assignment, ModelPin


@dataclass(frozen=True)
class Model:
    """A model that can be served. ``path``: a file; of a SavedModel and of OpenVINO's own format the folder."""

    path: Path
    name: str
    card: ModelCard


Make = Callable[[CanonicalSpec, Path], Model]
"""Writes a canonical model into a folder."""

Unpack = Callable[[Path, Path], Path]
"""(the fetched file, the folder that it lies in) -> what a platform is given."""


def _make_onnx(spec: CanonicalSpec, folder: Path) -> Model:
    from model_repo.canonical.families import generate  # noqa: PLC0415 - onnx is slow to import, and seldom needed

    model = generate(spec)
    target = folder / f"model{SUFFIXES['onnx']}"
    target.write_bytes(model.onnx_bytes)
    return Model(target, f"canonical-{spec.family}", model.card)


def _make_torchscript(spec: CanonicalSpec, folder: Path) -> Model:
    target = folder / f"model{SUFFIXES['torchscript']}"
    return Model(target, f"canonical-{spec.family}", TORCHSCRIPT.write(spec, target))


def _make_savedmodel(spec: CanonicalSpec, folder: Path) -> Model:
    target = folder / "model"
    return Model(target, f"canonical-{spec.family}", SAVEDMODEL.write(spec, target))


MAKERS: Final[Mapping[ModelFormat, Make]] = {
    "onnx": _make_onnx,
    "torchscript": _make_torchscript,
    "savedmodel": _make_savedmodel,
}
"""How canonical models are made in each format."""

UNPACK: Final[Mapping[ModelFormat, Unpack]] = {"savedmodel": savedmodel_tar.unpack, "openvino": openvino_tar.unpack}
"""Formats whose stored bytes are not what a platform loads."""


def obtain_model(assignment: Assignment, folder: Path, cache: BlobCache) -> Model:
    """Put the model into ``folder``, which is made.

    Raises:
        AttemptFailed: MODEL_UNAVAILABLE where it cannot be had, made or loaded; DISK_FULL, FOLLOWER_ERROR.
    """
    spec = assignment.spec
    folder.mkdir(parents=True, exist_ok=True)
    if spec.service.platform == "endpoint":
        return _served_there(spec.model, folder)
    try:
        if isinstance(spec.model, GeneratedModel):
            return _generate(spec.model.generate, spec.service, folder)
        if assignment.model is None:
            raise AttemptFailed(Cause.MODEL_UNAVAILABLE, f"no version of {spec.model.name} was pinned")
        return _fetch(assignment.model, spec.service, folder, cache)
    except InvalidModel as error:
        raise AttemptFailed(Cause.MODEL_UNAVAILABLE, error.detail) from error


def _served_there(model: ModelSpec, folder: Path) -> Model:
    """What an endpoint serves: its name, and nothing that could be fetched."""
    name = model.name if isinstance(model, NamedModel) else f"canonical-{model.generate.family}"
    return Model(folder, name, ModelCard(source="served by an endpoint; only its name is known"))


def _generate(spec: CanonicalSpec, service: ServiceSpec, folder: Path) -> Model:
    loads = SERVES[service.platform]
    makers = [MAKERS[each] for each in loads if each in MAKERS]
    if not makers:
        detail = f"canonical models can be made as {', '.join(MAKERS)}; {service.platform} loads {', '.join(loads)}"
        raise AttemptFailed(Cause.MODEL_UNAVAILABLE, detail)
    return makers[0](spec, folder)


def _fetch(pin: ModelPin, service: ServiceSpec, folder: Path, cache: BlobCache) -> Model:
    card = parse_card(pin.card)
    if card.format not in SERVES[service.platform]:
        detail = f"{service.platform} does not load {card.format}; {ways_to_serve(card.format, service.platform)}"
        raise AttemptFailed(Cause.MODEL_UNAVAILABLE, f"model {pin.name}: {detail}")
    target = folder / f"model{SUFFIXES[card.format]}"
    cache.link(pin, target)
    unpack = UNPACK.get(card.format)
    return Model(unpack(target, folder) if unpack else target, pin.name, card)
