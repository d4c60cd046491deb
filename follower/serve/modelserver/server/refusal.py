"""What the server answers instead of tensors."""

from http import HTTPStatus


class Refused(Exception):
    """A request gets an error body and a status. The message says what, where, and what would be right."""

    def __init__(self, message: str, status: HTTPStatus = HTTPStatus.BAD_REQUEST) -> None:
        self.message = message
        self.status = status
        super().__init__(message)


class LoadFailed(Exception):
    """The model cannot be served as asked."""


class OutOfMemory(Exception):
    """An allocation failed: the server answers what it can and ends, as one that the kernel kills would."""


def one_line(error: Exception) -> str:
    """What an engine says of a failure, fit for a log's last line."""
    return " ".join(str(error).split())
