"""A follower's life over the API: register, claim, lease, progress, artifacts, result; and what people see of it."""

import hashlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from support.api_client import Api, follower_registration, running_api

from leader.auth.roles import Role
from shared.errors import NotFound

HEARD = {"incarnation": "i-1"}
CLAIM = {"incarnation": "i-1", "slot": "cpu-0"}


@pytest.fixture
async def api(mongo_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    """A leader with one registered follower, f1."""
    async with running_api(mongo_url, tmp_path) as running:
        await running.register_follower()
        yield running


@pytest.fixture
async def follower(api: Api) -> AsyncIterator[httpx.AsyncClient]:
    """A client with the follower's token, under the follower's own path."""
    async with api.client(Role.FOLLOWER) as client:
        client.base_url = httpx.URL("http://127.0.0.1/api/v1/followers/f1/")
        yield client


async def claimed(api: Api, follower: httpx.AsyncClient) -> dict[str, Any]:
    """The assignment of a freshly submitted job."""
    assert (await api.submit()).status_code == 201
    answer = await follower.post("claim", json=CLAIM)
    assert answer.status_code == 200, answer.text
    assignment: dict[str, Any] = answer.json()
    return assignment


def under_lease(assignment: dict[str, Any], **more: Any) -> dict[str, Any]:
    """The body of a call that needs the lease."""
    return {**HEARD, "attempt": assignment["attempt"], "fence": assignment["fence"], **more}


def failure(cause: str = "server-died") -> dict[str, Any]:
    """The outcome of an attempt that failed."""
    return {"kind": "failure", "cause": cause, "detail": "it died", "log_tail": "boom"}


async def test_registering_tells_how_to_behave(api: Api) -> None:
    """Lease, heartbeat, polling and the bell's queue; people see the follower as alive."""
    async with api.client(Role.FOLLOWER) as client:
        answer = await client.post("/api/v1/followers", json=follower_registration("f2").model_dump(mode="json"))
    told = answer.json()
    assert (told["follower"], told["lease_s"], told["poll_s"]) == ("f2", 15.0, 2.0)
    assert told["bell_queue"] == "inferbench.bell.f2"
    async with api.client(Role.VIEWER) as client:
        listed = (await client.get("/api/v1/followers")).json()["items"]
    assert [(item["name"], item["alive"]) for item in listed] == [("f1", True), ("f2", True)]


async def test_a_name_in_use_is_refused_until_its_agent_says_good_bye(api: Api) -> None:
    """409, with where the other agent is; people see that it has stopped, and the name is free."""
    first, second = (
        follower_registration("f2", f"i-{home}").model_copy(update={"home": home}).model_dump(mode="json")
        for home in ("a", "b")
    )
    async with api.client(Role.FOLLOWER) as client:
        assert (await client.post("/api/v1/followers", json=first)).status_code == 200
        refused = await client.post("/api/v1/followers", json=second)
        assert (refused.status_code, refused.json()["code"]) == (409, "conflict")
        assert "on host 'f2'" in refused.json()["detail"]
        leaving = {"incarnation": "i-a", "utc_now": datetime.now(UTC).isoformat(), "leaving": True}
        assert (await client.post("/api/v1/followers/f2/heartbeat", json=leaving)).status_code == 204
    async with api.client(Role.VIEWER) as client:
        listed = (await client.get("/api/v1/followers")).json()["items"]
    (view,) = [item for item in listed if item["name"] == "f2"]
    assert (view["alive"], view["stopped"]) == (False, True)
    assert abs(view["clock_offset_s"]) < 5
    async with api.client(Role.FOLLOWER) as client:
        assert (await client.post("/api/v1/followers", json=second)).status_code == 200


@pytest.mark.parametrize("told", ["2026-01-01T00:00:00", "yesterday", 10**30])
async def test_a_time_without_a_zone_is_no_time(follower: httpx.AsyncClient, told: object) -> None:
    """It could not be compared; what is no time is not taken for one."""
    answer = await follower.post("heartbeat", json=HEARD | {"utc_now": told})
    assert answer.status_code == 422


@pytest.mark.parametrize("name", ["", "../f", "F1", "a b", "$ne"])
async def test_a_followers_name_is_a_name(api: Api, name: str) -> None:
    """It stands in paths and in a queue's name."""
    body = follower_registration("f1").model_dump(mode="json") | {"name": name}
    async with api.client(Role.FOLLOWER) as client:
        assert (await client.post("/api/v1/followers", json=body)).status_code == 422


async def test_there_may_be_nothing_to_do(follower: httpx.AsyncClient) -> None:
    """An empty queue is a 204."""
    answer = await follower.post("claim", json=CLAIM)
    assert (answer.status_code, answer.content) == (204, b"")


async def test_an_unknown_follower_or_incarnation_gets_nothing(api: Api, follower: httpx.AsyncClient) -> None:
    """404 means register first; 409 means that a newer one of the same name is there."""
    await api.submit()
    async with api.client(Role.FOLLOWER) as client:
        assert (await client.post("/api/v1/followers/nobody/claim", json=CLAIM)).status_code == 404
    assert (await follower.post("claim", json=CLAIM | {"incarnation": "old"})).status_code == 409
    assert (await follower.post("heartbeat", json={"incarnation": "old"})).status_code == 409
    assert (await follower.post("heartbeat", json=HEARD)).status_code == 204


async def test_a_claimed_run_is_leased_started_and_told_about(api: Api, follower: httpx.AsyncClient) -> None:
    """Claimed -> running, and its progress is what people read as events."""
    assignment = await claimed(api, follower)
    path = f"runs/{assignment['run_id']}"
    renewed = await follower.post(f"{path}/lease", json=under_lease(assignment, started=True))
    assert (renewed.status_code, renewed.json()["lease_s"]) == (200, 15.0)
    event = {"n": 1, "at": datetime.now(UTC).isoformat(), "kind": "measuring", "message": "half way"}
    for _ in range(2):  # a repeat changes nothing
        told = await follower.post(f"{path}/progress", json=under_lease(assignment, events=[event]))
        assert told.status_code == 204
    async with api.client(Role.VIEWER) as client:
        run = (await client.get(f"/api/v1/runs/{assignment['run_id']}")).json()
    assert (run["state"], run["follower"], run["attempt"]) == ("running", "f1", 1)
    told_events = await api.leader.desk.events.after(assignment["run_id"], None)
    assert [event.message for event in told_events if event.kind == "measuring"] == ["half way"]


async def test_a_cancelled_run_is_a_stale_fence_to_its_follower(api: Api, follower: httpx.AsyncClient) -> None:
    """409 stale-fence on lease, progress and artifact: the follower stops the attempt."""
    assignment = await claimed(api, follower)
    async with api.client(Role.SUBMITTER) as client:
        await client.post(f"/api/v1/runs/{assignment['run_id']}/cancel")
    path = f"runs/{assignment['run_id']}"
    query = f"attempt={assignment['attempt']}&fence={assignment['fence']}&sha256={hashlib.sha256(b'x').hexdigest()}"
    answers = [
        await follower.post(f"{path}/lease", json=under_lease(assignment)),
        await follower.post(f"{path}/progress", json=under_lease(assignment, events=[])),
        await follower.put(f"{path}/artifacts/log?{query}", content=b"x"),
    ]
    assert [(answer.status_code, answer.json()["code"]) for answer in answers] == [(409, "stale-fence")] * 3


async def test_a_failed_attempt_ends_the_run_with_its_cause_and_log(api: Api, follower: httpx.AsyncClient) -> None:
    """The log comes back as plain text; the same result again gets the same answer, another one is refused."""
    assignment = await claimed(api, follower)
    path, content = f"runs/{assignment['run_id']}", b"Traceback <script>alert(1)</script>\n"
    digest = hashlib.sha256(content).hexdigest()
    query = f"attempt={assignment['attempt']}&fence={assignment['fence']}&sha256={digest}"
    stored = await follower.put(f"{path}/artifacts/log?{query}", content=content)
    assert (stored.status_code, stored.json()) == (201, {"kind": "log", "sha256": digest, "size_bytes": len(content)})
    result = under_lease(assignment, outcome=failure(), artifacts=[stored.json()])
    for _ in range(2):
        answer = await follower.post(f"{path}/result", json=result)
        assert (answer.status_code, answer.json()) == (200, {"accepted": True, "state": "failed"})
    other = await follower.post(f"{path}/result", json={**result, "outcome": failure("timed-out")})
    assert (other.status_code, other.json()["code"]) == (409, "conflict")
    async with api.client(Role.VIEWER) as client:
        run = (await client.get(f"/api/v1/runs/{assignment['run_id']}")).json()
        log = await client.get(f"/api/v1/runs/{assignment['run_id']}/log")
        assert (await client.get(f"/api/v1/runs/{assignment['run_id']}/record")).status_code == 404
    assert (run["state"], run["cause"], run["log_tail"]) == ("failed", "server-died", "boom")
    assert log.content == content
    assert log.headers["content-type"] == "text/plain; charset=utf-8"
    assert "sandbox" in log.headers["content-security-policy"]


async def test_an_artifact_with_a_wrong_digest_or_kind_is_refused(api: Api, follower: httpx.AsyncClient) -> None:
    """Nothing of it is kept."""
    assignment = await claimed(api, follower)
    path = f"runs/{assignment['run_id']}/artifacts"
    query = f"attempt={assignment['attempt']}&fence={assignment['fence']}&sha256={'0' * 64}"
    assert (await follower.put(f"{path}/log?{query}", content=b"x")).status_code == 422
    assert (await follower.put(f"{path}/secrets?{query}", content=b"x")).status_code == 422
    assert (await follower.put(f"{path}/log", content=b"x")).status_code == 422
    async with api.client(Role.VIEWER) as client:
        assert (await client.get(f"/api/v1/runs/{assignment['run_id']}/log")).status_code == 404


async def test_calls_for_a_run_that_is_not_there_are_not_found(api: Api, follower: httpx.AsyncClient) -> None:
    """404 on lease, progress, artifact and result: a follower can tell it from a fence that is stale."""
    assignment = {**await claimed(api, follower), "run_id": "j-00000000000000000000000009.0000"}
    path = f"runs/{assignment['run_id']}"
    query = f"attempt=1&fence=1&sha256={hashlib.sha256(b'x').hexdigest()}"
    answers = [
        await follower.post(f"{path}/lease", json=under_lease(assignment)),
        await follower.post(f"{path}/progress", json=under_lease(assignment, events=[])),
        await follower.put(f"{path}/artifacts/log?{query}", content=b"x"),
        await follower.post(f"{path}/result", json=under_lease(assignment, outcome=failure())),
    ]
    assert [(answer.status_code, answer.json()["code"]) for answer in answers] == [(404, "not-found")] * 4


async def test_a_result_under_a_fence_that_was_never_given_is_refused(api: Api, follower: httpx.AsyncClient) -> None:
    """409 stale-fence, and nothing of it is kept; the attempt that holds the run goes on."""
    assignment = await claimed(api, follower)
    path = f"runs/{assignment['run_id']}/result"
    for wrong in ({"fence": 9}, {"attempt": 9}, {"incarnation": "i-0"}):
        answer = await follower.post(path, json={**under_lease(assignment, outcome=failure()), **wrong})
        assert (answer.status_code, answer.json()["code"]) == (409, "stale-fence")
    evidence = api.leader.desk.perfdb.evidence
    for attempt in (assignment["attempt"], 9):
        with pytest.raises(NotFound):
            await evidence.get(assignment["run_id"], attempt)
    assert (await follower.post(path, json=under_lease(assignment, outcome=failure()))).json()["accepted"]


async def test_a_result_under_a_fence_that_has_passed_is_kept_as_evidence(
    api: Api, follower: httpx.AsyncClient
) -> None:
    """The attempt was once this follower's: 200, not accepted, the state as it is; the run does not change."""
    assignment = await claimed(api, follower)
    async with api.client(Role.SUBMITTER) as client:
        await client.post(f"/api/v1/runs/{assignment['run_id']}/cancel")
    result = under_lease(assignment, outcome=failure())
    for _ in range(2):
        answer = await follower.post(f"runs/{assignment['run_id']}/result", json=result)
        assert (answer.status_code, answer.json()) == (200, {"accepted": False, "state": "cancelled"})
    kept = await api.leader.desk.perfdb.evidence.get(assignment["run_id"], assignment["attempt"])
    assert (kept.follower, kept.fence, kept.result.outcome.kind) == ("f1", assignment["fence"], "failure")
    async with api.client(Role.VIEWER) as client:
        run = (await client.get(f"/api/v1/runs/{assignment['run_id']}")).json()
    assert (run["state"], run["cause"]) == ("cancelled", "cancelled-by-user")


async def test_a_result_that_names_a_file_with_another_digest_is_refused(api: Api, follower: httpx.AsyncClient) -> None:
    """422: what it names was not uploaded; the same result with the digest of the file goes through."""
    assignment = await claimed(api, follower)
    path, content = f"runs/{assignment['run_id']}", b"the log"
    right = hashlib.sha256(content).hexdigest()
    query = f"attempt={assignment['attempt']}&fence={assignment['fence']}&sha256={right}"
    stored = (await follower.put(f"{path}/artifacts/log?{query}", content=content)).json()
    wrong = {**stored, "sha256": "1" * 64}
    answer = await follower.post(f"{path}/result", json=under_lease(assignment, outcome=failure(), artifacts=[wrong]))
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid-input")
    assert "log" in answer.json()["detail"]
    answer = await follower.post(f"{path}/result", json=under_lease(assignment, outcome=failure(), artifacts=[stored]))
    assert answer.json() == {"accepted": True, "state": "failed"}


async def test_metrics_show_the_queue_and_the_followers(api: Api, follower: httpx.AsyncClient) -> None:
    """Read at the scrape: one run claimed, one waiting with its predicted seconds."""
    await claimed(api, follower)
    await api.submit()
    async with api.client(Role.VIEWER) as client:
        text = (await client.get("/metrics")).text
    assert 'inferbench_runs{state="claimed"} 1.0' in text
    assert 'inferbench_runs{state="queued"} 1.0' in text
    assert 'inferbench_followers{alive="true"} 1.0' in text
    predicted = next(line for line in text.splitlines() if line.startswith("inferbench_queue_predicted_seconds "))
    assert float(predicted.split()[1]) >= 1.0
    assert 'inferbench_queue_depth{priority="normal",team="vision"} 1.0' in text
    assert "inferbench_lease_expiries_total 0.0" in text
    assert 'route="claimRun",status="200"' in text
