"""Records and the leaderboard."""

from typing import Annotated

from fastapi import APIRouter, Query

from leader.api.context import DeskParts
from leader.api.guard import GuardedRoute
from leader.api.parameters import Cursor, IdFilter, Limit, NameFilter
from leader.perfdb.entities import RecordFilter
from shared.wire.views import LeaderboardView, Page, RecordView

router = APIRouter(prefix="/api/v1", route_class=GuardedRoute, tags=["results"])

MetricName = Annotated[str, Query(pattern=r"^[a-z0-9_]{1,64}$", description="A registered metric.")]
KeyFilter = Annotated[str | None, Query(pattern=r"^[0-9A-Za-z:_-]{1,128}$", description="One comparability key.")]
ModelFilter = Annotated[str | None, Query(pattern=r"^[0-9A-Za-z._:@/+-]{1,128}$")]


@router.get("/records", name="listRecords")
async def list_records(
    desk: DeskParts, job_id: IdFilter = None, model: ModelFilter = None, limit: Limit = 50, cursor: Cursor = None
) -> Page[RecordView]:
    """Accepted records, newest first."""
    return await desk.reads.records(RecordFilter(job_id=job_id, model=model), limit=limit, cursor=cursor)


@router.get("/leaderboard", name="getLeaderboard")
async def get_leaderboard(
    *,
    desk: DeskParts,
    metric: MetricName = "p99_ms",
    key: KeyFilter = None,
    job_id: IdFilter = None,
    model: ModelFilter = None,
    platform: NameFilter = None,
    team: NameFilter = None,
    limit: Limit = 50,
) -> LeaderboardView:
    """Records ranked by one metric, best first; only comparable ones together."""
    wanted = RecordFilter(job_id=job_id, model=model, platform=platform, team=team)
    return await desk.reads.leaderboard(metric, wanted, key=key, limit=limit)
