"""Followers: the list for people, and the few calls that a follower lives by."""

from typing import Literal

from fastapi import APIRouter, Request, Response
from starlette.responses import StreamingResponse

from leader.api import bodies, files
from leader.api.context import Caller, DeskParts, LeaderParts, OwnName
from leader.api.guard import GuardedRoute
from leader.api.parameters import NamePath, NumberQuery, RunId, Sha256Path, Sha256Query
from leader.api.shapes import NamedRegistration
from leader.auth.tokens import require_own
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
from shared.wire.identity import Heartbeat, RegistrationAnswer
from shared.wire.views import FollowerView, Page

router = APIRouter(prefix="/api/v1/followers", route_class=GuardedRoute, tags=["followers"])


@router.get("", name="listFollowers")
async def list_followers(desk: DeskParts) -> Page[FollowerView]:
    """Every follower, by name, on one page."""
    return Page(items=await desk.followers.list())


@router.post("", name="registerFollower", responses={409: {}})
async def register_follower(desk: DeskParts, caller: Caller, registration: NamedRegistration) -> RegistrationAnswer:
    """Announce a follower. A new incarnation voids the older one's leases. 409: the name is another live agent's."""
    require_own(caller, registration.name)
    return await desk.followers.register(registration)


@router.post("/{name}/cordon", name="cordonFollower")
async def cordon_follower(desk: DeskParts, name: NamePath) -> FollowerView:
    """Give it nothing new; what it runs, it finishes. It is drained once ``running`` is empty."""
    return await desk.followers.cordon(name, cordoned=True)


@router.post("/{name}/uncordon", name="uncordonFollower")
async def uncordon_follower(desk: DeskParts, name: NamePath) -> FollowerView:
    """It gets work again."""
    return await desk.followers.cordon(name, cordoned=False)


@router.post("/{name}/heartbeat", name="heartbeatFollower", status_code=204, responses={409: {}})
async def heartbeat_follower(desk: DeskParts, name: OwnName, beat: Heartbeat) -> None:
    """The follower is alive, or says good-bye. 409: another incarnation goes by its name."""
    await desk.followers.heartbeat(name, beat)


@router.post("/{name}/claim", name="claimRun", responses={200: {"model": Assignment}, 204: {}, 409: {}})
async def claim_run(desk: DeskParts, name: OwnName, claim: Claim) -> Response:
    """The run that this slot should execute; 204 where there is none."""
    assignment = await desk.queue.claim(name, claim)
    if assignment is None:
        return Response(status_code=204)
    return Response(assignment.model_dump_json(), media_type="application/json")


@router.post("/{name}/runs/{run_id}/lease", name="renewLease", responses={409: {}})
async def renew_lease(desk: DeskParts, name: OwnName, run_id: RunId, call: LeaseCall) -> LeaseAnswer:
    """Keep the run. ``stale-fence`` (409) means: stop the attempt."""
    return await desk.queue.renew(name, run_id, call)


@router.post("/{name}/runs/{run_id}/progress", name="reportProgress", status_code=204, responses={409: {}})
async def report_progress(desk: DeskParts, name: OwnName, run_id: RunId, progress: Progress) -> None:
    """Tell what the attempt does. A repeated event changes nothing."""
    await desk.queue.progress(name, run_id, progress)


@router.put("/{name}/runs/{run_id}/artifacts/{kind}", name="uploadArtifact", status_code=201, responses={409: {}})
async def upload_artifact(
    *,
    leader: LeaderParts,
    request: Request,
    name: OwnName,
    run_id: RunId,
    kind: Literal["samples", "log"],
    attempt: NumberQuery,
    fence: NumberQuery,
    sha256: Sha256Query,
) -> Artifact:
    """A file of the attempt, raw."""
    content = bodies.chunks(request, leader.settings.max_model_bytes)
    return await leader.desk.queue.store_artifact(
        name, run_id, kind, attempt=attempt, fence=fence, sha256=sha256, chunks=content
    )


@router.post("/{name}/runs/{run_id}/result", name="deliverResult", responses={409: {}})
async def deliver_result(desk: DeskParts, name: OwnName, run_id: RunId, result: Result) -> ResultAnswer:
    """How the attempt ended. The same result again gets the same answer."""
    return await desk.queue.deliver(name, run_id, result)


@router.get(
    "/{name}/blobs/{sha256}",
    name="fetchBlob",
    response_class=StreamingResponse,
    responses={200: {"content": {files.BYTES: {}}}},
)
async def fetch_blob(desk: DeskParts, name: OwnName, sha256: Sha256Path) -> StreamingResponse:  # noqa: ARG001 - the path's
    """The bytes of a model or a dataset."""
    blob = await desk.reads.blob_for_follower(sha256)
    return files.file_response(blob, media_type=files.BYTES, filename=sha256)
