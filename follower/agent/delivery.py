"""Hands an attempt's result to the leader: files first, then the outcome that refers to them."""

from pathlib import Path
from typing import Final, Literal

import structlog
from pydantic import TypeAdapter, ValidationError

from follower.agent.events import AttemptKey
from follower.agent.leader import LeaderClient
from follower.attempt.order import AttemptDir
from follower.generate.blob_cache import file_sha256
from follower.serve.launch.log import tail
from shared.errors import Conflict, InvalidInput
from shared.jobs.lifecycle import Cause
from shared.wire.assignment import Artifact, Failure, Result, ResultAnswer, Success

LOG_TAIL_BYTES: Final = 1024 * 1024
LOG_TAIL_LINES: Final = 10_000
UPLOADED_LOG: Final = "uploaded-log.txt"
UPLOADED: Final = "uploaded.json"

_OUTCOME: Final[TypeAdapter[Success | Failure]] = TypeAdapter(Success | Failure)
_ARTIFACTS: Final[TypeAdapter[tuple[Artifact, ...]]] = TypeAdapter(tuple[Artifact, ...])

log = structlog.get_logger()


def deliver(
    client: LeaderClient, key: AttemptKey, directory: AttemptDir, failure: Failure | None, incarnation: str
) -> ResultAnswer:
    """Upload what ``directory`` holds; ``failure`` speaks in place of the attempt's own outcome.

    ``incarnation`` signs for an attempt that did not get as far as to have its order written down.

    Raises:
        Unavailable: try again later.
        InferBenchError: any other kind: the leader will never take it.
    """
    signed_by = directory.read_order().incarnation if directory.order.exists() else incarnation
    outcome = failure or read_outcome(directory)
    artifacts = _upload_once(client, key, directory)
    try:
        return client.post_result(key.run_id, _result(key, signed_by, outcome, artifacts))
    except InvalidInput as error:
        if isinstance(outcome, Failure):
            raise
        log.warning("record-refused", attempt=str(key), reason=error.detail)
        refused = Failure(cause=Cause.FOLLOWER_ERROR, detail=f"the leader refused the record: {error.detail}")
        return client.post_result(key.run_id, _result(key, signed_by, refused, artifacts))


def read_outcome(directory: AttemptDir) -> Success | Failure:
    """How the attempt ended: in its own words, or in the agent's that ended it; without either, both died together."""
    said = next((path for path in (directory.outcome, directory.last_word) if path.exists()), None)
    if said is None:
        return Failure(cause=Cause.FOLLOWER_DIED, detail="the follower died during the attempt")
    try:
        return _OUTCOME.validate_json(said.read_bytes())
    except ValidationError as error:
        return Failure(cause=Cause.FOLLOWER_ERROR, detail=f"the outcome cannot be read: {error.errors()[0]['msg']}")


def _result(key: AttemptKey, incarnation: str, outcome: Success | Failure, artifacts: tuple[Artifact, ...]) -> Result:
    return Result(incarnation=incarnation, attempt=key.attempt, fence=key.fence, outcome=outcome, artifacts=artifacts)


def _upload_once(client: LeaderClient, key: AttemptKey, directory: AttemptDir) -> tuple[Artifact, ...]:
    """What was uploaded, remembered on disk: a result that is sent again is the same to the last byte."""
    remembered = directory.root / UPLOADED
    try:
        return _ARTIFACTS.validate_json(remembered.read_bytes())
    except FileNotFoundError:
        artifacts = _upload(client, key, directory)
    try:
        remembered.write_bytes(_ARTIFACTS.dump_json(artifacts))
    except OSError as error:
        log.warning("uploads-not-remembered", attempt=str(key), reason=str(error))
    return artifacts


def _upload(client: LeaderClient, key: AttemptKey, directory: AttemptDir) -> tuple[Artifact, ...]:
    """The files that the leader takes. One that it refuses must not cost the result."""
    artifacts = []
    for kind, path in _files(directory):
        try:
            artifacts.append(
                client.put_artifact(
                    key.run_id, kind, path, sha256=file_sha256(path), attempt=key.attempt, fence=key.fence
                )
            )
        except (Conflict, InvalidInput) as error:
            log.warning("artifact-refused", attempt=str(key), kind=kind, reason=error.detail)
    return tuple(artifacts)


def _files(directory: AttemptDir) -> list[tuple[Literal["samples", "log"], Path]]:
    files: list[tuple[Literal["samples", "log"], Path]] = []
    if directory.samples.exists():
        files.append(("samples", directory.samples))
    try:
        files.append(("log", _gather_logs(directory)))
    except OSError as error:  # a full disk, most likely: the outcome matters more
        log.warning("logs-not-gathered", directory=str(directory.root), reason=str(error))
    return files


def _gather_logs(directory: AttemptDir) -> Path:
    """One text file with the ends of all logs of the attempt, each under its name."""
    gathered = directory.root / UPLOADED_LOG
    with gathered.open("w", encoding="utf-8") as out:
        for path in sorted(directory.root.rglob("*.log")):
            out.write(f"==> {path.relative_to(directory.root)} <==\n")
            out.write(tail(path, max_bytes=LOG_TAIL_BYTES, max_lines=LOG_TAIL_LINES) + "\n")
    return gathered
