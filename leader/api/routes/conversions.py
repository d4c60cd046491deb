"""Conversions in the background: ask for one, list, get, cancel."""

from fastapi import APIRouter, Response

from leader.api.context import Caller, DeskParts
from leader.api.guard import GuardedRoute
from leader.api.parameters import ConversionId, Cursor, IdempotencyKey, Limit
from shared.jobs.conversion import ConversionState
from shared.wire.conversions import ConversionView, NewConversion
from shared.wire.views import Page

router = APIRouter(prefix="/api/v1/conversions", route_class=GuardedRoute, tags=["conversions"])


@router.post("", name="createConversion", status_code=202, responses={404: {}, 409: {}})
async def create_conversion(
    *, desk: DeskParts, caller: Caller, response: Response, new: NewConversion, key: IdempotencyKey = None
) -> ConversionView:
    """Queue a conversion; a converter carries it out, and the leader never opens the model.

    The same idempotency key and wish again: the same conversion; the same key with another wish: 409.
    """
    view = await desk.conversions.submit(new, caller.name, key)
    response.headers["Location"] = view.links["self"]
    return view


@router.get("", name="listConversions")
async def list_conversions(
    *, desk: DeskParts, state: ConversionState | None = None, limit: Limit = 50, cursor: Cursor = None
) -> Page[ConversionView]:
    """Newest first."""
    return await desk.conversions.list(state=state, limit=limit, cursor=cursor)


@router.get("/{conversion_id}", name="getConversion")
async def get_conversion(desk: DeskParts, conversion_id: ConversionId) -> ConversionView:
    """A conversion as it stands."""
    return await desk.conversions.get(conversion_id)


@router.delete("/{conversion_id}", name="cancelConversion", responses={409: {}})
async def cancel_conversion(desk: DeskParts, caller: Caller, conversion_id: ConversionId) -> ConversionView:
    """Cancel one that is queued or running; its record stays. 409: it has ended otherwise."""
    return await desk.conversions.cancel(conversion_id, caller.name)
