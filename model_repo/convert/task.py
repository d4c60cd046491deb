"""What is converted and what becomes of it, in the same words for a person's command, the leader and the worker."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from model_repo.cards import parse_card
from model_repo.convert.conversions import ConversionRequest, find_conversion
from model_repo.convert.lineage import SourceModel

_NAME_CHARS: Final = 64  # what a model's name may have


def default_name(source: str, to: str) -> str:
    """SOURCE-CONVERSION, cut to the length that a model's name may have."""
    return f"{source[: _NAME_CHARS - len(to) - 1]}-{to}"


def request_in(
    folder: Path, source: SourceModel, card: Mapping[str, Any], *, to: str, dataset: str | None
) -> ConversionRequest:
    """The request for a conversion that happens in ``folder``, whose ``source_path`` is still to be filled.

    Raises:
        InvalidInput: the conversion does not take the model's format.
    """
    return ConversionRequest(
        to=find_conversion(to, parse_card(card).format),
        source=source,
        card=dict(card),
        dataset=dataset,
        source_path=folder / "source",
        target_path=folder / "target.onnx",
        card_path=folder / "card.json",
    )
