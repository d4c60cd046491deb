"""Who may call what: every route with every kind of caller, against a table written down here by hand."""

from collections.abc import AsyncIterator
from typing import Any, Final

import httpx
import pytest
import pytest_asyncio
from fastapi import APIRouter
from fastapi.routing import APIRoute
from support.api_client import Api, running_api
from support.mongo_servers import MongoServer

from leader.api.access import ACCESS, undeclared
from leader.app import ROUTERS
from leader.auth.roles import Role
from leader.auth.tokens import mint

OPEN: Final = {"getHealth", "getReadiness"}
READING: Final = {
    "getMetrics", "getVersion", "getOpenApi", "getJobSchema", "validateJob", "planJob", "listJobs", "getJob", "getRun",
    "streamRunEvents", "getRunLog", "getRunSamples", "getRunRecord", "listRecords", "getLeaderboard", "downloadModel",
    "searchModels", "getModel", "listDatasets", "downloadDataset", "listFollowers", "explainRun", "getHistory",
    "listConversions", "getConversion",
}  # fmt: skip
WORKING: Final = {
    "submitJob", "cancelJob", "cancelRun", "registerModel", "uploadModel", "updateModel", "registerDataset",
    "uploadDataset", "createConversion", "cancelConversion",
}  # fmt: skip
ADMINISTERING: Final = {
    "deleteModel", "addToken", "listTokens", "revokeToken", "cordonFollower", "uncordonFollower", "getScheduling",
    "setScheduling",
}  # fmt: skip
FOLLOWING: Final = {
    "registerFollower", "heartbeatFollower", "claimRun", "renewLease", "reportProgress", "uploadArtifact",
    "deliverResult", "fetchBlob", "claimConversion", "renewConversion", "announceConverted", "uploadConverted",
    "finishConversion",
}  # fmt: skip

MAY: Final[dict[str, set[str]]] = {
    "anonymous": OPEN,
    "wrong token": OPEN,
    "viewer": OPEN | READING,
    "submitter": OPEN | READING | WORKING,
    "admin": OPEN | READING | WORKING | ADMINISTERING | FOLLOWING,
    "follower": OPEN | FOLLOWING,
}

ROUTES: Final = {route.name: route for router in ROUTERS for route in router.routes if isinstance(route, APIRoute)}
VALUES: Final = {
    "job_id": "j-00000000000000000000000000", "run_id": "j-00000000000000000000000000.0000", "name": "nobody",
    "version": "1", "kind": "log", "sha256": "0" * 64, "conversion_id": "c-00000000000000000000000000",
}  # fmt: skip


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(nx_server: MongoServer, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Api]:
    """One leader for the whole table."""
    async with running_api(nx_server.fresh_url(), tmp_path_factory.mktemp("tokens")) as running:
        yield running


def client_of(api: Api, caller: str) -> httpx.AsyncClient:
    """A client that is this kind of caller."""
    if caller == "anonymous":
        return api.client(None)
    if caller == "wrong token":
        return api.client(None, Authorization=f"Bearer {mint(Role.ADMIN)}")
    return api.client(Role(caller))


def call(route: APIRoute) -> tuple[str, str]:
    """Method and path of a route, with something plausible in each parameter."""
    return next(iter(route.methods or ())), route.path.format(**VALUES)


def test_the_table_here_covers_every_route() -> None:
    """A new route needs a line in this file."""
    assert ROUTES.keys() == OPEN | READING | WORKING | ADMINISTERING | FOLLOWING


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("caller", MAY)
@pytest.mark.parametrize("name", sorted(ROUTES))
async def test_each_route_opens_to_those_who_may_and_to_nobody_else(api: Api, name: str, caller: str) -> None:
    """401 without a known token, 403 with too weak a one, and otherwise anything but those."""
    method, path = call(ROUTES[name])
    async with client_of(api, caller) as client:
        answer = await client.request(method, path)
    if name in MAY[caller]:
        assert answer.status_code not in {401, 403}
        assert answer.status_code < 500
    else:
        expected = (401, "unauthenticated") if caller in {"anonymous", "wrong token"} else (403, "forbidden")
        assert (answer.status_code, answer.json()["code"]) == expected


@pytest.mark.asyncio(loop_scope="module")
async def test_authorisation_comes_before_the_body_is_looked_at(api: Api) -> None:
    """An anonymous caller learns nothing about its body, and costs no parsing."""
    async with api.client(None) as client:
        answer = await client.post("/api/v1/jobs", content=b"x" * 100_000, headers={"Content-Type": "text/plain"})
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")


def test_a_route_without_a_declaration_is_found_at_start() -> None:
    """Closed by default is checked, not hoped for; a declaration without its route is found too."""
    router = APIRouter()

    @router.get("/back-door", name="backDoor")
    def back_door() -> dict[str, Any]:
        return {}

    names = [route.name for route in router.routes if isinstance(route, APIRoute)]
    assert undeclared([*ACCESS, *names]) == ["route backDoor declares no permission"]
    assert undeclared(set(ACCESS) - {"getJob"}) == ["permission of getJob has no route"]


@pytest.mark.asyncio(loop_scope="module")
async def test_bootstrap_tokens_work_and_only_their_hashes_are_stored(api: Api) -> None:
    """The files' tokens open the leader; nothing in the store could be used as one."""
    token_dir = api.leader.settings.token_dir
    assert token_dir is not None
    token = (token_dir / "admin.token").read_text().strip()
    async with api.client(None, Authorization=f"Bearer {token}") as client:
        assert (await client.get("/api/v1/version")).json() == {"version": "0.1.0"}
    stored = await api.leader.desk.perfdb.tokens.all()
    assert token not in repr(stored)
    assert {entry.name for entry in stored} >= {"admin", "follower"}
