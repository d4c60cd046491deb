"""What people read: jobs, runs, records, the leaderboard, stored files."""

from typing import Literal

from leader.perfdb.entities import JobFilter, RecordFilter
from model_repo.protocol import Blob
from shared.wire.views import JobView, LeaderboardView, Page, RecordView, RunView


class Reads:
    """Queries without side effects."""

    async def job(self, job_id: str) -> JobView:
        """With its runs. Raises NotFound."""
        raise NotImplementedError

    async def jobs(
        self, wanted: JobFilter, *, state: str | None = None, limit: int = 50, cursor: str | None = None
    ) -> Page[JobView]:
        """Newest first, without runs. With ``state`` a page may be short although more follow: go by the cursor."""
        raise NotImplementedError

    async def run(self, run_id: str) -> RunView:
        """Raises NotFound."""
        raise NotImplementedError

    async def record(self, run_id: str) -> RecordView:
        """Raises NotFound: no such run, or it has no record (yet)."""
        raise NotImplementedError

    async def records(self, wanted: RecordFilter, *, limit: int = 50, cursor: str | None = None) -> Page[RecordView]:
        """Newest first."""
        raise NotImplementedError

    async def artifact(self, run_id: str, kind: Literal["samples", "log"]) -> Blob:
        """The file of the run's last attempt that left one. Raises NotFound."""
        raise NotImplementedError

    async def blob_for_follower(self, sha256: str) -> Blob:
        """A model's or dataset's bytes; never another follower's artifacts. Raises NotFound."""
        raise NotImplementedError

    async def leaderboard(
        self, metric: str, wanted: RecordFilter, *, key: str | None = None, limit: int = 50
    ) -> LeaderboardView:
        """Ranking by one registered metric, one group per comparability key, ``limit`` rows in each.

        Raises:
            InvalidInput: no such metric; the message names the nearest.
        """
        raise NotImplementedError
