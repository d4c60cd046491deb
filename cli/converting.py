"""Converts a registered model: fetched, converted by a process of its own, compared, registered as a model again."""

from pathlib import Path
from tempfile import TemporaryDirectory

from cli.client import Client
from cli.downloads import save
from cli.uploads import push_model
from model_repo.cards import parse_card
from model_repo.convert.child import run_conversion
from model_repo.convert.lineage import SourceModel
from model_repo.convert.task import default_name, request_in
from shared.wire.views import ModelView


def convert_model(client: Client, source: ModelView, *, to: str, name: str | None, dataset: str | None) -> ModelView:
    """Registers the converted model as the next version of ``name`` (SOURCE-CONVERSION where none is given).

    Raises:
        InvalidInput: the conversion does not take the model's format.
        InvalidModel: it cannot be converted; or not within half an hour.
    """
    with TemporaryDirectory() as place:
        folder = Path(place)
        origin = SourceModel(name=source.name, version=source.version, sha256=source.sha256 or "")
        request = request_in(folder, origin, source.card, to=to, dataset=dataset)
        save(client.download_model(source.name, source.version), request.source_path, sha256=source.sha256)
        card = run_conversion(request, folder)
        return push_model(client, request.target_path, name=name or default_name(source.name, to), card=card)


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
