"""The followers' side of the queue: claim, renew, report, deliver. PerfDB is the queue."""

from collections.abc import AsyncIterator
from typing import Literal

from shared.wire.assignment import (
    Artifact,
    Assignment,
    Claim,
    LeaseAnswer,
    LeaseCall,
    Progress,
    Result,
    ResultAnswer,
)


class Queue:
    """What a follower may do with runs."""

    async def claim(self, follower: str, claim: Claim) -> Assignment | None:
        """The run that this slot should execute, leased to it; None where there is nothing for it.

        A claim whose answer got lost may be sent again: the same run comes back while nothing was started.

        Raises:
            NotFound: the follower is not registered.
            Conflict: another incarnation of it is, or it has no such slot.
        """
        raise NotImplementedError

    async def renew(self, follower: str, run_id: str, call: LeaseCall) -> LeaseAnswer:
        """Extend the lease; ``started`` also moves the run to running. Raises StaleFence, NotFound."""
        raise NotImplementedError

    async def progress(self, follower: str, run_id: str, progress: Progress) -> None:
        """Store events, idempotently by their ``n``. Raises StaleFence, NotFound, InvalidInput."""
        raise NotImplementedError

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
        """Keep a file of the attempt. Raises StaleFence, NotFound, InvalidInput (digest), TooLarge."""
        raise NotImplementedError

    async def deliver(self, follower: str, run_id: str, result: Result) -> ResultAnswer:
        """Keep the result as evidence and end the attempt with it, if its fence is the current one.

        The same result again gets the same answer. A late one is kept and answered with ``accepted`` false.

        Raises:
            StaleFence: this attempt was never given to this follower.
            Conflict: the attempt had delivered something else.
            InvalidInput: the record is of another run, or an artifact was not uploaded.
        """
        raise NotImplementedError
