"""The end of an attempt: its files, its result, the record."""

import hashlib
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Final, Literal

import structlog

from leader.manage.followers import Followers
from leader.manage.moves import Move, Mover
from leader.manage.recorder import Recorder, check_record
from leader.manage.rights import holds, require_current, require_granted
from leader.manage.searcher import Searcher
from leader.manage.story import answer_given
from leader.perfdb.entities import Evidence, Run, StoredArtifact
from leader.perfdb.protocol import PerfDB
from model_repo.protocol import BlobOwner, BlobStore
from shared.clock import Clock
from shared.errors import Conflict, InvalidInput, NotFound, Unavailable
from shared.jobs import lifecycle
from shared.jobs.lifecycle import RunState
from shared.wire.assignment import Artifact, Failure, Result, ResultAnswer

MAX_ARTIFACT_BYTES: Final = 1024**3
NO_REASON: Final = "the record says that it is invalid, and not why"

log = structlog.get_logger(__name__)


class Delivery:
    """Takes what attempts deliver."""

    def __init__(
        self,
        *,
        perfdb: PerfDB,
        blobs: BlobStore,
        mover: Mover,
        recorder: Recorder,
        searcher: Searcher,
        followers: Followers,
        clock: Clock,
    ) -> None:
        self._db = perfdb
        self._blobs = blobs
        self._mover = mover
        self._recorder = recorder
        self._searcher = searcher
        self._followers = followers
        self._clock = clock

    async def store_artifact(
        self,
        follower: str,
        run_id: str,
        kind: Literal["samples", "log"],
        *,
        attempt: int,
        fence: int,
        sha256: str,
        chunks: AsyncIterator[bytes],
    ) -> Artifact:
        """Keep a file of the attempt, under the attempt's name; sending it again replaces it."""
        require_current(await self._db.runs.get(run_id), follower, None, attempt, fence)
        owner = BlobOwner("artifact", f"{run_id}:{attempt}:{kind}")
        size_bytes = await self._blobs.put(chunks, sha256=sha256, max_bytes=MAX_ARTIFACT_BYTES, owner=owner)
        earlier = [found for found in await self._db.evidence.artifacts(run_id, attempt) if found.kind == kind]
        artifact = StoredArtifact(run_id=run_id, attempt=attempt, kind=kind, sha256=sha256, size_bytes=size_bytes)
        await self._db.evidence.add_artifact(artifact)
        for old in earlier:
            if old.sha256 != sha256:
                await self._blobs.release(old.sha256, owner)
        return Artifact(kind=kind, sha256=sha256, size_bytes=size_bytes)

    async def deliver(self, follower: str, run_id: str, result: Result) -> ResultAnswer:
        """Evidence, move, record, next probe, in this order: a crash between any two is repaired from what is there."""
        run = await self._db.runs.get(run_id)
        require_granted(run, follower, result.incarnation, result.attempt, result.fence)
        check_record(run, follower, result.attempt, result)
        await self._check_artifacts(run_id, result)
        await self._keep(follower, run_id, result)
        now = self._clock.utc_now()
        run, moved = await self._mover.move(run_id, lambda found: ending(found, follower, result, now))
        answer = answer_given(run, result.attempt) or ResultAnswer(accepted=False, state=run.status.state.value)
        if moved:
            await self._after(run)
        return answer

    async def _check_artifacts(self, run_id: str, result: Result) -> None:
        stored = {(file.kind, file.sha256) for file in await self._db.evidence.artifacts(run_id, result.attempt)}
        missing = [file.kind for file in result.artifacts if (file.kind, file.sha256) not in stored]
        if missing:
            raise InvalidInput(f"upload the artifacts first, with the same digest: {', '.join(missing)}")

    async def _keep(self, follower: str, run_id: str, result: Result) -> None:
        evidence = Evidence(
            run_id=run_id,
            attempt=result.attempt,
            fence=result.fence,
            follower=follower,
            sha256=hashlib.sha256(result.model_dump_json().encode()).hexdigest(),
            result=result,
            received_at=self._clock.utc_now(),
            clock_offset_s=await self._followers.clock_offset_s(follower),
        )
        first = await self._db.evidence.add(evidence)
        if first.sha256 != evidence.sha256:
            raise Conflict(f"attempt {result.attempt} of run {run_id} has delivered another result already")

    async def _after(self, run: Run) -> None:
        if run.status.state is RunState.QUEUED:
            await self._followers.ring_all()
        if not run.status.state.is_terminal:
            return
        try:
            if run.status.state.has_record:
                await self._recorder.record(run)
            await self._searcher.advance(run.job_id)
        except (Unavailable, NotFound, InvalidInput) as error:  # the result is safe; the reconciler sees to the rest
            log.warning("result.follow_up_delayed", run_id=run.id, reason=error.detail)


def ending(run: Run, follower: str, result: Result, now: datetime) -> Move | None:
    """What the result does to the run; None where it comes late or again. Pure."""
    if not holds(run, follower, result.incarnation, result.attempt, result.fence):
        return None
    outcome = result.outcome
    if isinstance(outcome, Failure):
        failed = lifecycle.fail(run.status, outcome.cause, outcome.detail, now, outcome.log_tail)
        return Move.to(failed, delivered=result.attempt)
    verdict = outcome.record.verdict
    if verdict.kind == "invalid":
        proves_nothing = lifecycle.invalidate(run.status, "; ".join(verdict.reasons) or NO_REASON)
        return Move.to(proves_nothing, delivered=result.attempt)
    return Move.to(lifecycle.succeed(run.status), delivered=result.attempt)
