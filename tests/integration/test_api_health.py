"""What monitoring sees: alive, ready, and why not."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from support.api_client import Api, running_api

from leader.api.routes.process import agreement
from leader.auth.roles import Role

LOOPS = ("reaper", "reconciler", "binder", "outbox", "utilisation", "uploads", "conversions")


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
        "checks": {"database": "ok", "clock": "ok", **{f"loop {name}": "ok" for name in LOOPS}},
    }


async def test_a_clock_that_is_off_is_not_ready(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """An hour behind the database's: what this leader stamps would mislead every other."""
    wrong = datetime.now(UTC) - timedelta(hours=1)
    monkeypatch.setattr(api.leader.clock, "utc_now", lambda: wrong)
    async with api.client(None) as client:
        answer = await client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["checks"]["clock"].endswith(" s behind the database's")
    assert answer.json()["checks"]["database"] == "ok"


@pytest.mark.parametrize(
    ("told_s", "expected"),
    [
        (0.0, "ok"),
        (1.5, "ok"),
        (6.9, "ok"),
        (-4.9, "ok"),
        (7.1, "5.1 s behind the database's"),
        (-5.2, "5.2 s ahead of the database's"),
    ],
)
def test_clocks_agree_unless_they_provably_do_not(told_s: float, expected: str) -> None:
    """The answer took 2 s, and the database may have read its clock at any moment of them."""
    asked_at = datetime(2030, 1, 1, tzinfo=UTC)
    told_at, answered_at = asked_at + timedelta(seconds=told_s), asked_at + timedelta(seconds=2)
    assert agreement(asked_at, told_at, answered_at) == expected


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
