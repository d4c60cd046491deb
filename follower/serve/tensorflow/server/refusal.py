"""What the server answers instead of tensors."""

from dataclasses import dataclass
from http import HTTPStatus
from typing import Final, Literal

Code = Literal["INVALID_ARGUMENT", "NOT_FOUND", "UNAVAILABLE", "INTERNAL", "RESOURCE_EXHAUSTED"]

STATUS_OF: Final[dict[Code, HTTPStatus]] = {
    "INVALID_ARGUMENT": HTTPStatus.BAD_REQUEST,
    "NOT_FOUND": HTTPStatus.NOT_FOUND,
    "UNAVAILABLE": HTTPStatus.SERVICE_UNAVAILABLE,
    "RESOURCE_EXHAUSTED": HTTPStatus.SERVICE_UNAVAILABLE,
    "INTERNAL": HTTPStatus.INTERNAL_SERVER_ERROR,
}
"""gRPC's code and HTTP's beside it."""


@dataclass(eq=False)
class Refused(Exception):
    """A request gets a status and words."""

    code: Code
    message: str

    def __str__(self) -> str:
        return self.message


class LoadFailed(Exception):
    """The model cannot be served as asked."""
