"""The few calls that a converter lives by. It is let in as a follower is, and speaks for its own name only."""

from fastapi import APIRouter, Request

from leader.api import bodies
from leader.api.context import DeskParts, LeaderParts, OwnName
from leader.api.guard import GuardedRoute
from leader.api.parameters import ConversionId, NumberQuery
from shared.wire.assignment import LeaseAnswer
from shared.wire.conversions import (
    ConversionEnd,
    ConversionLeaseCall,
    ConversionView,
    ConvertedView,
    ConverterAnswer,
    ConverterClaim,
    NewResult,
)

router = APIRouter(prefix="/api/v1/converters", route_class=GuardedRoute, tags=["converters"])


@router.post("/{name}/claim", name="claimConversion")
async def claim_conversion(desk: DeskParts, name: OwnName, claim: ConverterClaim) -> ConverterAnswer:
    """The oldest conversion that waits, if any; or the word that this converter takes none now, and why."""
    return await desk.converters.claim(name, claim)


@router.post("/{name}/conversions/{conversion_id}/lease", name="renewConversion", responses={409: {}})
async def renew_conversion(
    desk: DeskParts, name: OwnName, conversion_id: ConversionId, call: ConversionLeaseCall
) -> LeaseAnswer:
    """Keep the conversion. ``stale-fence`` (409) means: stop the attempt."""
    return await desk.converters.renew(name, conversion_id, call)


@router.post("/{name}/conversions/{conversion_id}/result", name="announceConverted", responses={409: {}})
async def announce_converted(
    desk: DeskParts, name: OwnName, conversion_id: ConversionId, new: NewResult
) -> ConvertedView:
    """The version that is registered for the result; its bytes follow by PUT. Announced again: the same version."""
    return await desk.converters.announce(name, conversion_id, new)


@router.put("/{name}/conversions/{conversion_id}/result", name="uploadConverted", status_code=204, responses={409: {}})
async def upload_converted(
    *, leader: LeaderParts, request: Request, name: OwnName, conversion_id: ConversionId, fence: NumberQuery
) -> None:
    """The bytes of the announced result, raw."""
    content = bodies.chunks(request, leader.settings.max_model_bytes)
    await leader.desk.converters.upload(name, conversion_id, fence, content)


@router.post("/{name}/conversions/{conversion_id}/finish", name="finishConversion", responses={409: {}})
async def finish_conversion(
    desk: DeskParts, name: OwnName, conversion_id: ConversionId, end: ConversionEnd
) -> ConversionView:
    """How the attempt ended. The same end again gets the same answer."""
    return await desk.converters.finish(name, conversion_id, end)
