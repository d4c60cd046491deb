"""Models on their way to the leader."""

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from cli.client import Client, file_chunks
from cli.downloads import digest_of
from cli.errors import UnreadableFile
from model_repo import openvino_tar, savedmodel_tar
from model_repo.packaged import load, packaged_models
from shared.errors import NotFound
from shared.jobs.formats import ModelFormat
from shared.wire.views import ModelView


def read_card(path: Path) -> dict[str, Any]:
    """A model card from YAML, of which JSON is a part. What may stand in it, the leader says.

    Raises:
        UnreadableFile: not a mapping in YAML.
    """
    try:
        card = YAML(typ="safe", pure=True).load(path.read_text())
    except (OSError, UnicodeDecodeError, YAMLError) as error:
        raise UnreadableFile(f"the card {path} cannot be read: {error}") from error
    if not isinstance(card, dict):
        raise UnreadableFile(f"the card {path} must be a mapping of keys to values")
    return card


def push_model(client: Client, path: Path, *, name: str, card: Mapping[str, Any]) -> ModelView:
    """Registers the file as the next version of ``name`` and uploads it; a model's folder goes as an archive.

    Raises:
        UnreadableFile: it cannot be read.
        InvalidModel: a folder that is neither a SavedModel nor one of OpenVINO.
    """
    if path.is_dir():
        with TemporaryDirectory(prefix="inferbench-") as scratch:
            archive = Path(scratch) / "model.tar"
            format_ = _pack(path, archive)
            return push_model(client, archive, name=name, card={"format": format_, **card})
    digest = digest_of(path)
    pending = client.register_model(name=name, sha256=digest.sha256, size_bytes=digest.size_bytes, card=card)
    return client.upload_model(name, pending.version, file_chunks(path))


def _pack(folder: Path, archive: Path) -> ModelFormat:
    if (folder / openvino_tar.GRAPH_FILE).is_file():
        openvino_tar.pack(folder, archive)
        return "openvino"
    savedmodel_tar.pack(folder, archive)
    return "savedmodel"


def import_packaged_models(client: Client, name: str | None) -> list[ModelView]:
    """Registers the packaged model ``name``, or all of them; one whose bytes are registered already is left alone.

    Raises:
        NotFound: no such model, or the package that ships it is not installed.
        InvalidModel: the installed file is another one than the known one.
    """
    return [_import(client, each) for each in ([name] if name is not None else packaged_models())]


def _import(client: Client, name: str) -> ModelView:
    path, card = load(name)
    sha256 = digest_of(path).sha256
    there = [view for view in _versions(client, name) if view.state == "ready" and view.sha256 == sha256]
    return there[0] if there else push_model(client, path, name=name, card=card.model_dump(mode="json"))


def newest_ready(client: Client, name: str) -> ModelView:
    """The newest version of ``name`` that is ready.

    Raises:
        NotFound: there is none.
    """
    ready = [view for view in _versions(client, name) if view.state == "ready"]
    if not ready:
        raise NotFound(f"no version of model {name!r} is ready; see `inferbench models list`")
    return max(ready, key=lambda view: view.version)


def _versions(client: Client, name: str) -> list[ModelView]:
    """Versions of exactly this name; the leader's search also finds names that hold it."""
    return [view for view in client.models(text=name) if view.name == name]
