"""Every error that may cross a room's border, in one tree.

InferBenchError
├── InvalidInput            what was sent cannot be right; sending it again cannot help
│   ├── InvalidJobFile      a job file's problems, all at once, each with its place
│   ├── NotAvailable        no follower can run it
│   ├── InvalidModel        a model's bytes or card
│   └── TooLarge
├── NotFound
├── Conflict                the thing is no longer in the state the caller assumed
│   ├── StaleFence          an attempt that has been superseded speaks
│   └── IdempotencyMismatch one key, two bodies
├── QuotaExceeded           the team has enough in the queue
├── Unauthenticated
├── Forbidden
├── Unavailable             the world failed (store, broker, leader); trying again may help
└── AttemptFailed           a run's own failure, with its cause
"""

from collections.abc import Sequence
from typing import ClassVar

from pydantic import BaseModel, ConfigDict

from shared.jobs.lifecycle import Cause


class Problem(BaseModel):
    """One thing that is wrong in an input: where, what was found, what would be right."""

    model_config = ConfigDict(frozen=True)

    message: str
    path: str = ""  # dotted path, "" for the whole document
    line: int | None = None  # 1-based
    column: int | None = None  # 1-based
    found: str | None = None
    allowed: str | None = None
    suggestion: str | None = None  # nearest known name

    def __str__(self) -> str:
        place = f"line {self.line}, column {self.column}: " if self.line is not None else ""
        path = f"{self.path}: " if self.path else ""
        return f"{place}{path}{self.message}{self._hint()}"

    def _hint(self) -> str:
        """The nearest right thing, or else what would be right."""
        if self.suggestion:
            return f"; did you mean {self.suggestion!r}?"
        return f"; allowed: {self.allowed}" if self.allowed else ""


class InferBenchError(Exception):
    """The root. ``code`` is stable and public; ``status`` is its HTTP form, ``exit_code`` the CLI's."""

    code: ClassVar[str] = "internal"
    status: ClassVar[int] = 500
    exit_code: ClassVar[int] = 1
    title: ClassVar[str] = "Something failed inside InferBench"

    def __init__(self, detail: str = "", *, problems: Sequence[Problem] = ()) -> None:
        self.detail = detail or self.title
        self.problems = tuple(problems)
        super().__init__(self.detail)


class InvalidInput(InferBenchError):
    """What was sent cannot be right."""

    code = "invalid-input"
    status = 422
    exit_code = 2
    title = "The input is not valid"


class InvalidJobFile(InvalidInput):
    """The job file has problems; all of them are listed."""

    code = "invalid-job-file"
    title = "The job file is not valid"


class NotAvailable(InvalidInput):
    """The job asks for something that no follower announces."""

    code = "not-available"
    title = "Not available on any follower"


class InvalidModel(InvalidInput):
    """The model's bytes or card are refused."""

    code = "invalid-model"
    title = "The model is not valid"


class TooLarge(InvalidInput):
    """The body is above the configured limit."""

    code = "too-large"
    status = 413
    title = "The body is too large"


class NotFound(InferBenchError):
    """No such thing."""

    code = "not-found"
    status = 404
    exit_code = 5
    title = "Not found"


class Conflict(InferBenchError):
    """The thing is not in the state that this call needs."""

    code = "conflict"
    status = 409
    exit_code = 1
    title = "The state does not allow this"


class StaleFence(Conflict):
    """A superseded attempt spoke; its follower must stop it."""

    code = "stale-fence"
    title = "This attempt has been superseded"


class IdempotencyMismatch(Conflict):
    """The idempotency key was used before with another body."""

    code = "idempotency-mismatch"
    title = "The idempotency key was used with another body"


class QuotaExceeded(InferBenchError):
    """The team's quota does not allow more in the queue now; later it may."""

    code = "quota-exceeded"
    status = 429
    title = "The team's quota is used up"


class Unauthenticated(InferBenchError):
    """No token, or an unknown one."""

    code = "unauthenticated"
    status = 401
    exit_code = 4
    title = "A valid token is needed"


class Forbidden(InferBenchError):
    """The token is known but its role may not do this."""

    code = "forbidden"
    status = 403
    exit_code = 4
    title = "The token's role may not do this"


class Unavailable(InferBenchError):
    """The store, the broker or the leader did not answer; trying again may help."""

    code = "unavailable"
    status = 503
    title = "A part of the service does not answer"


class AttemptFailed(InferBenchError):
    """A run's own failure: its cause is one of the lifecycle's causes."""

    code = "attempt-failed"
    title = "The attempt failed"

    def __init__(self, cause: Cause, detail: str, *, log_tail: str = "") -> None:
        self.cause = cause
        self.log_tail = log_tail
        super().__init__(detail)
