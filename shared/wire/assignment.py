"""What a follower is asked to run, and how it keeps and gives back the right to run it."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field

from shared.jobs.lifecycle import Cause
from shared.jobs.spec import RunSpec
from shared.measure.record import Record
from shared.wire.identity import Wire


class BlobPin(Wire):
    """Bytes fixed at submit: the run uses these and no others."""

    name: str
    version: int
    sha256: str
    size_bytes: int


class ModelPin(BlobPin):
    """A model's bytes, and the card that says what they are."""

    card: dict[str, Any] = Field(default_factory=dict)  # model_repo.cards.ModelCard


class Claim(Wire):
    """POST /followers/{name}/claim."""

    incarnation: str
    slot: str


class Assignment(Wire):
    """The answer to a claim. The lease counts from before the claim was sent, on the follower's monotonic clock."""

    run_id: str
    job_id: str
    attempt: int
    fence: int
    lease_s: float
    spec: RunSpec
    model: ModelPin | None  # None: generated on the follower
    dataset: BlobPin | None  # None: built in or synthetic
    trace: BlobPin | None = None  # of a workload that replays one


class LeaseCall(Wire):
    """POST /followers/{name}/runs/{run_id}/lease. ``started`` moves a claimed run to running."""

    incarnation: str
    attempt: int
    fence: int
    started: bool = False


class LeaseAnswer(Wire):
    """The lease runs for this long again. A stale fence is answered with problem code ``stale-fence`` instead."""

    lease_s: float


class ProgressEvent(Wire):
    """One line of an attempt's story; ``n`` counts from 1 within the attempt, so repeats are recognised."""

    n: int = Field(ge=1)
    at: datetime
    kind: str  # "fetching-model", "starting-server", "ready", "warming-up", "measuring", "collecting", ...
    message: str
    data: dict[str, Any] = Field(default_factory=dict)


class Progress(Wire):
    """POST /followers/{name}/runs/{run_id}/progress."""

    incarnation: str
    attempt: int
    fence: int
    events: tuple[ProgressEvent, ...]


class Artifact(Wire):
    """A file already uploaded by PUT /followers/{name}/runs/{run_id}/artifacts/{kind}."""

    kind: Literal["samples", "log"]
    sha256: str
    size_bytes: int


class Success(Wire):
    """The attempt measured what it was asked to measure."""

    kind: Literal["success"] = "success"
    record: Record


class Failure(Wire):
    """The attempt ended without a measurement."""

    kind: Literal["failure"] = "failure"
    cause: Cause
    detail: str
    log_tail: str = ""


class Result(Wire):
    """POST /followers/{name}/runs/{run_id}/result. Idempotent by (run, attempt, fence, digest of the body)."""

    incarnation: str
    attempt: int
    fence: int
    outcome: Annotated[Success | Failure, Field(discriminator="kind")]
    artifacts: tuple[Artifact, ...] = ()


class ResultAnswer(Wire):
    """``accepted`` is false where a newer fence exists: the result is kept as superseded evidence."""

    accepted: bool
    state: str
