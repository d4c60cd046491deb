"""Tokens over the API: made once, shown once, bound to a follower, taken away."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from support.api_client import TINY_JOB, YAML, Api, follower_registration, running_api

from leader.auth.roles import Role

TOKENS = "/api/v1/tokens"


@pytest.fixture
async def api(mongo_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    """A leader with an empty database and a follower that can run TINY_JOB."""
    async with running_api(mongo_url, tmp_path) as running:
        await running.register_follower()
        yield running


async def added(api: Api, **body: Any) -> httpx.Response:
    """The answer to an admin who asks for a token."""
    async with api.client() as client:
        return await client.post(TOKENS, json=body)


def holder(api: Api, answer: httpx.Response) -> httpx.AsyncClient:
    """A client with the token of that answer."""
    return api.client(None, Authorization=f"Bearer {answer.json()['token']}")


async def test_a_new_token_opens_what_its_role_may(api: Api) -> None:
    """It is of the right form, and owns what is submitted with it."""
    answer = await added(api, name="ann", role="submitter")
    assert (answer.status_code, answer.json()["role"]) == (201, "submitter")
    assert answer.json()["token"].startswith("ib_submitter_")
    assert answer.headers["cache-control"] == "no-store"
    async with holder(api, answer) as ann:
        job = await ann.post("/api/v1/jobs", content=TINY_JOB, headers=YAML)
        assert (job.status_code, job.json()["owner"]) == (201, "ann")
        assert (await ann.get(TOKENS)).status_code == 403


async def test_a_token_is_shown_once_and_kept_as_a_hash(api: Api) -> None:
    """Lists have names and roles; neither they nor the store hold the token."""
    secret = (await added(api, name="bob", role="viewer")).json()["token"]
    async with api.client() as client:
        listed = await client.get(TOKENS)
    assert secret not in listed.text
    assert {item["name"]: item["role"] for item in listed.json()["items"]}["bob"] == "viewer"
    assert "sha256" not in listed.text
    assert secret not in repr(await api.leader.desk.perfdb.tokens.all())


async def test_a_name_is_given_once(api: Api) -> None:
    """Another token of the same name would take over its jobs; after a revoke the name is free."""
    assert (await added(api, name="ann", role="viewer")).status_code == 201
    again = await added(api, name="ann", role="admin")
    assert (again.status_code, again.json()["code"]) == (409, "conflict")
    async with api.client() as client:
        assert (await client.delete(f"{TOKENS}/ann")).status_code == 204
        assert (await client.delete(f"{TOKENS}/ann")).status_code == 404
    assert (await added(api, name="ann", role="viewer")).status_code == 201


async def test_a_revoked_token_opens_nothing(api: Api) -> None:
    """Not even on a leader that has just started to remember tokens."""
    answer = await added(api, name="ann", role="viewer")
    async with api.client() as client:
        await client.delete(f"{TOKENS}/ann")
    async with holder(api, answer) as ann:
        refused = await ann.get("/api/v1/jobs")
    assert (refused.status_code, refused.json()["code"]) == (401, "unauthenticated")


async def test_the_last_admin_token_stays(api: Api) -> None:
    """Otherwise nobody could give out tokens any more."""
    async with api.client() as client:
        names = [item["name"] for item in (await client.get(TOKENS)).json()["items"] if item["role"] == "admin"]
        assert names == ["a-admin", "admin"]
        assert (await client.delete(f"{TOKENS}/admin")).status_code == 204
        last = await client.delete(f"{TOKENS}/a-admin")
    assert (last.status_code, last.json()["code"]) == (409, "conflict")


@pytest.mark.parametrize(
    "body",
    [
        {"name": "Ann", "role": "viewer"},
        {"name": "ann", "role": "root"},
        {"name": "ann"},
        {"name": "ann", "role": "viewer", "follower": "f1"},
        {"name": "ann", "role": "follower", "follower": "../f1"},
        {"name": "ann", "role": "viewer", "token": "mine"},
    ],
)
async def test_a_token_that_cannot_be_is_refused(api: Api, body: dict[str, Any]) -> None:
    """A name that is none, a role that is none, a follower for somebody who is none, a token of one's own."""
    answer = await added(api, **body)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid-input")


async def test_a_followers_own_token_speaks_for_no_other(api: Api) -> None:
    """Neither to register, nor to claim, renew, report, upload or deliver, nor to fetch a blob."""
    answer = await added(api, name="host-2", role="follower", follower="f2")
    assert answer.json()["follower"] == "f2"
    at, run = "/api/v1/followers/f1", "/api/v1/followers/f1/runs/j-00000000000000000000000001.0000"
    fence = {"incarnation": "i-1", "attempt": 1, "fence": 1}
    async with holder(api, answer) as host:
        foreign = [
            await host.post("/api/v1/followers", json=follower_registration("f1").model_dump(mode="json")),
            await host.post(f"{at}/heartbeat", json={"incarnation": "i-1"}),
            await host.post(f"{at}/claim", json={"incarnation": "i-1", "slot": "cpu-0"}),
            await host.post(f"{run}/lease", json=fence),
            await host.post(f"{run}/progress", json={**fence, "events": []}),
            await host.put(f"{run}/artifacts/log?attempt=1&fence=1&sha256={'0' * 64}", content=b"x"),
            await host.post(
                f"{run}/result", json={**fence, "outcome": {"kind": "failure", "cause": "server-died", "detail": "x"}}
            ),
            await host.get(f"{at}/blobs/{'0' * 64}"),
        ]
        assert [(one.status_code, one.json()["code"]) for one in foreign] == [(403, "forbidden")] * 8
        assert "'f2'" in foreign[0].json()["detail"]
        own = await host.post("/api/v1/followers", json=follower_registration("f2").model_dump(mode="json"))
        assert own.status_code == 200
        beat = await host.post("/api/v1/followers/f2/heartbeat", json={"incarnation": "i-1"})
        assert beat.status_code == 204


async def test_a_followers_token_without_a_name_speaks_for_any(api: Api) -> None:
    """As the one that the leader makes at its first start."""
    async with api.client(Role.FOLLOWER) as client:
        for name in ("f1", "f2"):
            body = follower_registration(name).model_dump(mode="json")
            assert (await client.post("/api/v1/followers", json=body)).status_code == 200
