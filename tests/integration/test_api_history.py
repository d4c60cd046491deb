"""The history over the API: runs on a real database, as the trace that a replay reads."""

from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from support.api_client import TINY_JOB, Api, running_api

from leader.auth.roles import Role
from shared.scheduling.policy import DEFAULT
from shared.scheduling.replay import replay
from shared.scheduling.stream_file import TracedRun, read_runs
from shared.wire.history import HEADER, HistoryFacts

HISTORY = "/api/v1/history"


@pytest.fixture
async def api(mongo_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    """A leader with an empty database and one follower with one slot."""
    async with running_api(mongo_url, tmp_path) as running:
        await running.register_follower()
        yield running


async def submitted(api: Api, team: str) -> dict[str, Any]:
    """A job of one run; the run."""
    answer = await api.submit(TINY_JOB.replace("team: vision", f"team: {team}"))
    assert answer.status_code == 201, answer.text
    run: dict[str, Any] = answer.json()["runs"][0]
    return run


async def ended(api: Api) -> None:
    """The follower takes the next run and fails it."""
    async with api.client(Role.FOLLOWER) as client:
        given = (await client.post("/api/v1/followers/f1/claim", json={"incarnation": "i-1", "slot": "cpu-0"})).json()
        outcome = {"kind": "failure", "cause": "server-died", "detail": "it died", "log_tail": ""}
        result = {"incarnation": "i-1", "attempt": given["attempt"], "fence": given["fence"], "outcome": outcome}
        answer = await client.post(f"/api/v1/followers/f1/runs/{given['run_id']}/result", json=result)
    assert answer.json() == {"accepted": True, "state": "failed"}


async def history(api: Api, **query: str) -> tuple[list[TracedRun], HistoryFacts]:
    """What a viewer gets."""
    async with api.client(Role.VIEWER) as client:
        answer = await client.get(HISTORY, params=query)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    return read_runs(answer.text, "history"), HistoryFacts.model_validate_json(answer.headers[HEADER])


async def test_runs_that_took_a_slot_and_ended_are_the_history(api: Api) -> None:
    """By submission, with what was predicted, what they took and when they ended, by the leader's clock."""
    runs = [await submitted(api, team) for team in ("vision", "speech")]
    waiting = await submitted(api, "idle")
    for _ in runs:
        await ended(api)
    async with api.client(Role.SUBMITTER) as client:
        assert (await client.post(f"/api/v1/runs/{waiting['id']}/cancel")).status_code == 200
        views = [(await client.get(f"/api/v1/runs/{run['id']}")).json() for run in runs]
    found, facts = await history(api)
    assert [(run.team, run.device) for run in found] == [("vision", "cpu"), ("speech", "cpu")]
    for run, view in zip(found, views, strict=True):
        assert run.arrival_s == pytest.approx(datetime.fromisoformat(view["created_at"]).timestamp(), abs=1e-5)
        assert run.predicted_s == pytest.approx(view["predicted_s"])
        assert run.ended_s is not None
        assert 0 < run.duration_s <= run.ended_s - run.arrival_s
    assert (facts.slots, facts.left_out, facts.settings.to_policy()) == ({"cpu": 1}, 0, DEFAULT)
    played = replay(found, facts.slots, [facts.settings.to_policy()])
    assert played.happened.runs == played.policies[0].figures.runs == 2


async def test_an_empty_history_is_a_head_with_what_stands(api: Api) -> None:
    """A run that waits is not in it; a cordoned follower's slots are not counted, and quotas are not told."""
    await submitted(api, "vision")
    async with api.client() as client:
        settings = {"order": "first-come", "aging": 0.5, "quotas": {"secret": {"running": 1}}}
        assert (await client.put("/api/v1/scheduling", json=settings)).status_code == 200
        await client.post("/api/v1/followers/f1/cordon")
    async with api.client(Role.VIEWER) as client:
        answer = await client.get(HISTORY)
    assert answer.text == "arrival,duration,team,device,predicted,ended\n"
    assert "secret" not in answer.headers[HEADER]
    facts = HistoryFacts.model_validate_json(answer.headers[HEADER])
    assert (facts.slots, facts.settings.order, facts.settings.aging) == ({}, "first-come", 0.5)


@pytest.mark.parametrize("within_s", ["0", "-1", "soon", "inf"])
async def test_a_span_that_cannot_be_is_refused(api: Api, within_s: str) -> None:
    """With its name."""
    async with api.client(Role.VIEWER) as client:
        answer = await client.get(HISTORY, params={"within_s": within_s})
    assert answer.status_code == 422
    assert "within_s" in answer.text


async def test_followers_may_not_read_the_history(api: Api) -> None:
    """Nor may strangers."""
    async with api.client(Role.FOLLOWER) as client:
        assert (await client.get(HISTORY)).status_code == 403
    async with api.client(None) as client:
        assert (await client.get(HISTORY)).status_code == 401
