"""The tokenizer that a model brings along in its own file."""

from follower.generate.models import Model
from model_repo.onnx_check import check_onnx
from shared.errors import AttemptFailed, InvalidModel
from shared.jobs.lifecycle import Cause


def tokenizer_of(model: Model) -> str | None:
    """The ``tokenizer.json`` in the metadata of an ONNX file; None where there is none, or another format.

    Raises:
        AttemptFailed: MODEL_UNAVAILABLE where the file cannot be read.
    """
    if model.card.format != "onnx" or not model.path.is_file():
        return None
    from follower.pipeline.own_tokenizer import METADATA_KEY  # noqa: PLC0415 - seldom needed, and slow to import

    try:
        with model.path.open("rb") as file:
            return check_onnx(file).metadata.get(METADATA_KEY)
    except InvalidModel as error:
        raise AttemptFailed(Cause.MODEL_UNAVAILABLE, error.detail) from error
