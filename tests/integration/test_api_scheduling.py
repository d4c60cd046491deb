"""Scheduling over the API: settings for admins, explanations for readers, cordons."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from support.api_client import TINY_JOB, Api, running_api

from leader.auth.roles import Role

SCHEDULING = "/api/v1/scheduling"


@pytest.fixture
async def api(mongo_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    """A leader with an empty database and a follower that can run TINY_JOB."""
    async with running_api(mongo_url, tmp_path) as running:
        await running.register_follower()
        yield running


async def test_settings_are_shown_and_replaced_by_admins(api: Api) -> None:
    """What is left out gets its default; the possible policies are listed."""
    async with api.client() as client:
        shown = (await client.get(SCHEDULING)).json()
        assert (shown["settings"]["placement"], shown["settings"]["order"]) == ("late-binding", "fair-share")
        assert set(shown["placements"]) == {"round-robin", "queue-aware", "late-binding"}
        assert "earliest-deadline" in shown["orders"]
        new = {"order": "shortest-first", "quotas": {"vision": {"queued": 1}}}
        answer = await client.put(SCHEDULING, json=new)
        assert answer.status_code == 200
        again = (await client.get(SCHEDULING)).json()["settings"]
    assert (again["order"], again["aging"], again["quotas"]["vision"]["queued"]) == ("shortest-first", 1.0, 1)


@pytest.mark.parametrize("role", [Role.SUBMITTER, Role.VIEWER, Role.FOLLOWER])
async def test_nobody_else_may(api: Api, role: Role) -> None:
    """Neither look nor set, nor cordon."""
    async with api.client(role) as client:
        assert (await client.get(SCHEDULING)).status_code == 403
        assert (await client.put(SCHEDULING, json={})).status_code == 403
        assert (await client.post("/api/v1/followers/f1/cordon")).status_code == 403


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({"order": "lottery"}, "known: first-come, shortest-first"),
        ({"placement": "random"}, "known: round-robin, queue-aware, late-binding"),
        ({"aging": -1}, "aging"),
        ({"half_life_s": 0}, "half_life_s"),
        ({"quotas": {"vision": {"running": -1}}}, "quotas.vision.running"),
        ({"quotas": {"vision": {"weight": 0}}}, "quotas.vision.weight"),
        ({"quotas": {"$ne": {}}}, "quotas"),
        ({"policy": "x"}, "policy"),
    ],
)
async def test_settings_that_cannot_be_are_refused(api: Api, body: dict[str, object], told: str) -> None:
    """With what is wrong, and for a policy which ones there are; what was in force stays."""
    async with api.client() as client:
        answer = await client.put(SCHEDULING, json=body)
        assert answer.status_code == 422
        assert told in answer.text
        assert (await client.get(SCHEDULING)).json()["settings"]["order"] == "fair-share"


async def test_a_submit_above_the_quota_is_a_429_with_its_own_code(api: Api) -> None:
    """Which an automated client can tell from any other refusal."""
    async with api.client() as client:
        await client.put(SCHEDULING, json={"quotas": {"vision": {"queued": 1}}})
    assert (await api.submit()).status_code == 201
    answer = await api.submit()
    assert (answer.status_code, answer.json()["code"]) == (429, "quota-exceeded")
    assert answer.json()["problems"][0]["path"] == "team"
    assert answer.json()["problems"][0]["line"] == 4


async def test_a_run_is_explained_to_readers(api: Api) -> None:
    """A queued run, next on the only slot."""
    run_id = (await api.submit(TINY_JOB)).json()["runs"][0]["id"]
    async with api.client(Role.VIEWER) as client:
        told = (await client.get(f"/api/v1/runs/{run_id}/explain")).json()
        assert (await client.get("/api/v1/runs/j-01jd3v6x8k5m2n7p9q4r1s0t3w.0000/explain")).status_code == 404
    assert (told["why"], told["position"], told["state"]) == ("next", 1, "queued")
    assert told["starts_in"]["p50_s"] == 0.0


async def test_a_cordon_is_seen_in_the_list(api: Api) -> None:
    """Until it is taken away; a follower that does not exist is a 404."""
    async with api.client() as client:
        assert (await client.post("/api/v1/followers/f1/cordon")).json()["cordoned"] is True
        assert (await client.get("/api/v1/followers")).json()["items"][0]["cordoned"] is True
        assert (await client.post("/api/v1/followers/f1/uncordon")).json()["cordoned"] is False
        assert (await client.post("/api/v1/followers/f9/cordon")).status_code == 404
