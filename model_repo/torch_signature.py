"""The signature of a TorchScript model: a small file inside its archive, because the archive itself says nothing.

``torch.jit.save(module, path, _extra_files={SIGNATURE_FILE: text})`` puts it there, where ``text`` is JSON::

    {"inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 4]}],
     "outputs": [{"name": "y", "datatype": "FP32", "shape": [-1, 4]}]}

Inputs are in the order of ``forward``'s parameters, outputs in the order of what it returns; -1 is free.
"""

from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from model_repo.cards import TensorCard
from shared.errors import InvalidModel, Problem

SIGNATURE_FILE: Final = "inferbench.json"
MAX_SIGNATURE_BYTES: Final = 1 << 20

Tensors = Annotated[tuple[TensorCard, ...], Field(min_length=1, max_length=1000)]


class Signature(BaseModel):
    """What a model takes and gives."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    inputs: Tensors
    outputs: Tensors

    def to_json(self) -> str:
        """As it lies in the archive."""
        return self.model_dump_json()


def parse_signature(text: bytes | str) -> Signature:
    """The signature from the file's content; nothing means that the archive has no such file.

    Raises:
        InvalidModel: none, or not one; the message says what would be right.
    """
    if not text:
        problem = Problem(message=f"no signature: the archive holds no {SIGNATURE_FILE}", allowed=_RIGHT)
        raise InvalidModel(f"The model is refused: {problem}", problems=[problem])
    try:
        return Signature.model_validate_json(text)
    except ValidationError as error:
        problems = [
            Problem(path=".".join([SIGNATURE_FILE, *map(str, fault["loc"])]), message=fault["msg"])
            for fault in error.errors(include_input=False)
        ]
        raise InvalidModel(f"The signature is not valid: {problems[0]}", problems=problems) from None


_RIGHT: Final = (
    f"torch.jit.save(module, path, _extra_files={{'{SIGNATURE_FILE}': "
    """'{"inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 4]}], "outputs": [...]}'})"""
)
