"""What came of the runs that ended, as a trace that the simulator reads."""

from datetime import timedelta
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query
from starlette.responses import StreamingResponse

from leader.api.context import DeskParts
from leader.api.guard import GuardedRoute
from shared.scheduling.stream_file import lines_of
from shared.wire.history import HEADER

CSV: Final = "text/csv; charset=utf-8"

Within = Annotated[
    float, Query(ge=1, le=1e9, description="Runs that ended within so many seconds, of those that the leader keeps.")
]

_DESCRIBED: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "CSV: arrival,duration,team,device,predicted,ended, in seconds, by arrival.",
        "content": {"text/csv": {}},
        "headers": {
            HEADER: {
                "description": "Slots and scheduling settings as they stand, as JSON.",
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/HistoryFacts"}}},
            }
        },
    }
}

router = APIRouter(prefix="/api/v1/history", route_class=GuardedRoute, tags=["scheduling"])


@router.get("", name="getHistory", response_class=StreamingResponse, responses=_DESCRIBED)
async def get_history(desk: DeskParts, within_s: Within = 604_800.0) -> StreamingResponse:
    """Every run that took a slot and has ended; the leader keeps the newest 20,000."""
    told = await desk.history.told(timedelta(seconds=within_s))
    headers = {HEADER: told.facts.model_dump_json(), "Content-Disposition": 'attachment; filename="history.csv"'}
    return StreamingResponse(lines_of(told.runs), media_type=CSV, headers=headers)
