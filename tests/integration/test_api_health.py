"""What monitoring sees: alive, ready, and why not."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from support.api_client import Api, running_api

from leader.auth.roles import Role

LOOPS = ("reaper", "reconciler", "binder", "outbox", "uploads")


@pytest.fixture
async def api(mongo_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    """A leader with an empty database."""
    async with running_api(mongo_url, tmp_path) as running:
        yield running


async def test_readiness_names_every_part(api: Api) -> None:
    """The database and each background loop, without a token."""
    async with api.client(None) as client:
        answer = await client.get("/readyz")
    assert answer.json() == {
        "status": "ready",
        "checks": {"database": "ok", **{f"loop {name}": "ok" for name in LOOPS}},
    }


async def test_a_loop_that_died_shows_until_it_has_settled(api: Api) -> None:
    """Not ready, with the reason; the process itself stays alive."""
    api.leader.background._record_death("reaper", "ValueError: bad luck")
    async with api.client(None) as client:
        ready, alive = await client.get("/readyz"), await client.get("/healthz")
    assert (ready.status_code, ready.json()["checks"]["loop reaper"]) == (503, "ValueError: bad luck")
    assert alive.json() == {"status": "ok"}


async def test_a_fault_is_a_500_document_and_counted(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """What nobody foresaw is answered like every other error, says nothing of its insides, and shows in the metrics."""

    async def broken() -> None:
        raise RuntimeError("password=hunter2")

    monkeypatch.setattr(api.leader.desk.followers, "list", broken)
    async with api.client(Role.VIEWER) as client:
        answer = await client.get("/api/v1/followers", headers={"X-Request-Id": "trace-1"})
        monkeypatch.undo()
        metrics = (await client.get("/metrics")).text
    assert (answer.status_code, answer.json()["code"], answer.json()["instance"]) == (500, "internal", "trace-1")
    assert "hunter2" not in answer.text
    assert 'inferbench_http_requests_total{route="listFollowers",status="500"} 1.0' in metrics
