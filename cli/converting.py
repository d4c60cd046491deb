"""Converts a registered model: fetched, converted by a process of its own, compared, registered as a model again."""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from pydantic import TypeAdapter

from cli.client import Client
from cli.downloads import save
from cli.uploads import push_model
from model_repo.cards import parse_card
from model_repo.convert.conversions import ConversionRequest, find_conversion
from model_repo.convert.lineage import SourceModel
from shared.errors import InvalidModel
from shared.wire.views import ModelView

_PATH: Final = "/usr/local/bin:/usr/bin:/bin"
_TIMEOUT_S: Final = 1800.0
_NAME_CHARS: Final = 64  # what a model's name may have


def convert_model(client: Client, source: ModelView, *, to: str, name: str | None, dataset: str | None) -> ModelView:
    """Registers the converted model as the next version of ``name`` (SOURCE-CONVERSION where none is given).

    Raises:
        InvalidInput: the conversion does not take the model's format.
        InvalidModel: it cannot be converted; or not within half an hour.
    """
    conversion = find_conversion(to, parse_card(source.card).format)
    with TemporaryDirectory() as place:
        folder = Path(place)
        request = ConversionRequest(
            to=conversion,
            source=SourceModel(name=source.name, version=source.version, sha256=source.sha256),
            card=source.card,
            dataset=dataset,
            source_path=folder / "source",
            target_path=folder / "target.onnx",
            card_path=folder / "card.json",
        )
        save(client.download_model(source.name, source.version), request.source_path, sha256=source.sha256)
        card = run_conversion(request, folder)
        return push_model(client, request.target_path, name=name or _name(source.name, to), card=card)


def run_conversion(request: ConversionRequest, folder: Path) -> Mapping[str, Any]:
    """Opens the model in a child that has neither the token nor the surroundings of this process; gives the new card.

    Raises:
        InvalidModel: it is refused, or the child died over it.
    """
    told = folder / "request.json"
    told.write_text(request.model_dump_json(), encoding="utf-8")
    environment = {"PATH": _PATH, "LANG": "C.UTF-8", "HOME": str(folder), "TMPDIR": str(folder)}
    argv = [sys.executable, "-P", "-W", "ignore", "-m", "follower.convert", str(told)]
    try:
        done = subprocess.run(
            argv, env=environment, cwd=folder, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise InvalidModel(f"the conversion did not end within {_TIMEOUT_S:g} s") from error
    if done.returncode != 0:
        reason = done.stderr.strip().rpartition("\n")[2] or f"the converting process ended with {done.returncode}"
        raise InvalidModel(reason)
    return TypeAdapter(dict[str, Any]).validate_json(request.card_path.read_bytes())


def _name(source: str, to: str) -> str:
    return f"{source[: _NAME_CHARS - len(to) - 1]}-{to}"


def lineage_lines(view: ModelView) -> list[str]:
    """What was done and how far the answers are from the source's, for a person."""
    lineage = parse_card(view.card).lineage
    if lineage is None:
        return []
    check, source = lineage.check, lineage.source
    done = f"{view.name} version {view.version}: {lineage.conversion} of {source.name} version {source.version}"
    error = f"{check.max_abs_error:.3g} ({check.max_rel_error:.2%} of the largest output)"
    lines = [
        f"{done} by {lineage.tool}, {view.size_bytes} bytes",
        f"largest error over {check.samples} samples of {check.inputs}: {error}",
    ]
    if check.accuracy_before is not None and check.accuracy_after is not None:
        lines.append(f"accuracy: {check.accuracy_before:.1%} before, {check.accuracy_after:.1%} after")
    return lines
