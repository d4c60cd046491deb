"""How the queue is ordered; for admins."""

from fastapi import APIRouter

from leader.api.context import DeskParts
from leader.api.guard import GuardedRoute
from shared.wire.scheduling import SchedulingSettings, SchedulingView

router = APIRouter(prefix="/api/v1/scheduling", route_class=GuardedRoute, tags=["scheduling"])


@router.get("", name="getScheduling")
async def get_scheduling(desk: DeskParts) -> SchedulingView:
    """The settings in force, and the policies that could be."""
    return await desk.scheduling.show()


@router.put("", name="setScheduling")
async def set_scheduling(desk: DeskParts, settings: SchedulingSettings) -> SchedulingView:
    """Replace the settings; in force at once here, and within two seconds at other leaders."""
    return await desk.scheduling.put(settings)
