"""Searches, traces and the evidence of failed attempts, over the API."""

import hashlib
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from support.api_client import TINY_JOB, YAML, Api, follower_registration, running_api
from support.stored_records import record

from leader.auth.roles import Role
from shared.jobs import lifecycle

SEARCH_JOB = TINY_JOB.replace(
    "{pattern: poisson, rate: 50, warmup: 0s, duration: 1s}",
    "{pattern: search, slo: {p99_ms: 50}, start_rate: 40, probes: 2, warmup: 0s, duration: 1s}",
)
TRACE_JOB = TINY_JOB.replace("{pattern: poisson, rate: 50,", "{pattern: trace, trace: morning,")
MORNING = b"timestamp\n0.0\n0.25\n2.5\n"
AT = "/api/v1/followers/f1"


@pytest.fixture
async def api(mongo_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    """A leader with one follower, f1, that can replay traces, too."""
    async with running_api(mongo_url, tmp_path) as running:
        known = follower_registration().model_dump(mode="json")
        known["capabilities"]["patterns"] += ["trace"]
        async with running.client(Role.FOLLOWER) as client:
            assert (await client.post("/api/v1/followers", json=known)).status_code == 200
        yield running


async def post(api: Api, path: str, body: Any, role: Role = Role.FOLLOWER) -> Any:
    """The JSON answer to a JSON body."""
    async with api.client(role) as client:
        answer = await client.post(path, json=body)
    assert answer.status_code < 300, answer.text
    return answer.json()


async def claim(api: Api) -> Any:
    """The assignment that is waiting."""
    return await post(api, f"{AT}/claim", {"incarnation": "i-1", "slot": "cpu-0"})


async def deliver(api: Api, given: Any, outcome: dict[str, Any], *artifacts: Any) -> Any:
    """End the attempt."""
    body = {"incarnation": "i-1", "attempt": given["attempt"], "fence": given["fence"], "outcome": outcome}
    return await post(api, f"{AT}/runs/{given['run_id']}/result", {**body, "artifacts": artifacts})


async def send_samples(api: Api, given: Any, content: bytes) -> Any:
    """The raw samples of the attempt."""
    params = {name: given[name] for name in ("attempt", "fence")} | {"sha256": hashlib.sha256(content).hexdigest()}
    async with api.client(Role.FOLLOWER) as client:
        path = f"{AT}/runs/{given['run_id']}/artifacts/samples"
        answer = await client.put(path, params=params, content=content)
    assert answer.status_code == 201, answer.text
    return answer.json()


async def read(api: Api, path: str) -> Any:
    """What a viewer gets."""
    async with api.client(Role.VIEWER) as client:
        return (await client.get(path)).json()


def measured(given: Any, *, is_met: bool) -> dict[str, Any]:
    """A success that keeps or misses the limit."""
    check = {"limit": "p99_ms", "allowed": 50, "measured": 30 if is_met else 90, "met": is_met}
    delivered = record(given["run_id"], spec=given["spec"]).model_dump(mode="json")
    return {"kind": "success", "record": {**delivered, "slo": [check]}}


BROKEN = {"kind": "failure", "cause": "follower-error", "detail": "it broke"}
FATAL = {"kind": "failure", "cause": "server-died", "detail": "it died"}


async def test_a_search_is_followed_over_the_api(api: Api) -> None:
    """The job runs between its probes, grows, and ends with the rate, the bracket and the reason."""
    submitted = await api.submit(SEARCH_JOB)
    assert submitted.status_code == 201, submitted.text
    path = f"/api/v1/jobs/{submitted.json()['id']}"
    first = await claim(api)
    assert (first["spec"]["workload"]["pattern"], first["spec"]["workload"]["rate"]) == ("poisson", 40.0)
    await deliver(api, first, measured(first, is_met=True))
    between = await read(api, path)
    assert (between["state"], between["run_count"], between["searches"][0]["state"]) == ("running", 2, "searching")
    second = await claim(api)
    await deliver(api, second, measured(second, is_met=False))
    done = await read(api, path)
    (search,) = done["searches"]
    assert (done["state"], search["state"]) == ("succeeded", "found")
    assert (search["rate_rps"], search["low_rps"], search["high_rps"]) == (40.0, 40.0, 80.0)
    assert [(probe["run_id"], probe["rate_rps"], probe["outcome"]) for probe in search["probes"]] == [
        (first["run_id"], 40.0, "met"), (second["run_id"], 80.0, "missed"),
    ]  # fmt: skip
    assert "all 2 probes are used" in search["reason"]


async def test_cancel_over_the_api_ends_the_search(api: Api) -> None:
    """And the job lists as cancelled."""
    job = (await api.submit(SEARCH_JOB)).json()
    given = await claim(api)
    await deliver(api, given, measured(given, is_met=True))
    view = await post(api, f"/api/v1/jobs/{job['id']}/cancel", {}, Role.SUBMITTER)
    assert (view["state"], view["searches"][0]["state"]) == ("cancelled", "cancelled")
    assert [item["id"] for item in (await read(api, "/api/v1/jobs?state=cancelled"))["items"]] == [job["id"]]


async def test_a_plan_says_that_it_is_an_upper_bound(api: Api) -> None:
    """Two probes at most, and the time of two."""
    async with api.client(Role.VIEWER) as client:
        one = (await client.post("/api/v1/jobs/plan", content=TINY_JOB, headers=YAML)).json()
        plan = (await client.post("/api/v1/jobs/plan", content=SEARCH_JOB, headers=YAML)).json()
    assert (plan["is_upper_bound"], plan["runs"][0]["most_runs"]) == (True, 2)
    assert plan["predicted_s"] == pytest.approx(2 * one["predicted_s"])


@pytest.mark.parametrize(
    ("text", "code", "path", "line"),
    [
        (SEARCH_JOB.replace("slo: {p99_ms: 50}, ", ""), "invalid-job-file", "workload.slo", 6),
        (SEARCH_JOB.replace("{p99_ms: 50}", "{}"), "invalid-job-file", "workload.slo", 6),
        (SEARCH_JOB.replace("probes: 2", "max_rate: 4"), "invalid-job-file", "workload.start_rate", 6),
        (SEARCH_JOB + "slo: {p50_ms: 1}\n", "invalid-job-file", "slo", 7),
        (TRACE_JOB, "not-found", "workload.trace", 6),
    ],
    ids=["no-slo", "no-limit", "start-above-max", "two-slos", "no-such-trace"],
)  # fmt: skip
async def test_what_cannot_be_searched_or_replayed_is_told_with_its_line(
    api: Api, text: str, code: str, path: str, line: int
) -> None:
    """As a problem document, and nothing is stored."""
    answer = await api.submit(text)
    problem = answer.json()
    assert (problem["code"], problem["problems"][0]["path"], problem["problems"][0]["line"]) == (code, path, line)
    assert (await read(api, "/api/v1/jobs"))["items"] == []


async def test_a_trace_goes_in_is_replayed_and_comes_out(api: Api) -> None:
    """Uploaded like a dataset, recognised, pinned in the assignment, fetched by the follower, downloaded as text."""
    sha256 = hashlib.sha256(MORNING).hexdigest()
    new = {"name": "morning", "sha256": sha256, "size_bytes": len(MORNING)}
    await post(api, "/api/v1/datasets", new, Role.SUBMITTER)
    content = "/api/v1/datasets/morning/versions/1/content"
    async with api.client(Role.SUBMITTER) as client:
        view = (await client.put(content, content=MORNING)).json()
        assert (view["kind"], view["requests"], view["span_s"]) == ("trace", 3, 2.5)
        answer = await client.get(content)
    assert answer.content == MORNING
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.headers["content-disposition"] == 'attachment; filename="morning-1.txt"'
    assert (await api.submit(TRACE_JOB)).status_code == 201
    given = await claim(api)
    assert given["trace"] == {"name": "morning", "version": 1, "sha256": sha256, "size_bytes": len(MORNING)}
    async with api.client(Role.FOLLOWER) as client:
        assert (await client.get(f"{AT}/blobs/{sha256}")).content == MORNING


async def test_a_broken_trace_is_refused_with_its_line_over_the_api(api: Api) -> None:
    """422, the line, what was found."""
    broken = b"timestamp\n1.0\n0.5\n"
    new = {"name": "t", "sha256": hashlib.sha256(broken).hexdigest(), "size_bytes": len(broken)}
    await post(api, "/api/v1/datasets", new, Role.SUBMITTER)
    async with api.client(Role.SUBMITTER) as client:
        answer = await client.put("/api/v1/datasets/t/versions/1/content", content=broken)
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (422, "invalid-input")
    assert (problem["problems"][0]["line"], problem["problems"][0]["found"]) == (3, "0.5")


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """No back-off: the clock is a real one here."""
    monkeypatch.setattr(lifecycle, "FIRST_BACKOFF", timedelta(0))


@pytest.mark.usefixtures("at_once")
async def test_samples_of_a_failed_attempt_are_evidence(api: Api) -> None:
    """They come while the run waits for its next attempt, after it failed, and by their number ever after."""
    run_id = (await api.submit()).json()["runs"][0]["id"]
    path = f"/api/v1/runs/{run_id}/samples"
    async with api.client(Role.VIEWER) as client:
        assert (await client.get(path)).status_code == 404
        first = await claim(api)
        artifact = await send_samples(api, first, b"PAR1 first PAR1")
        await deliver(api, first, BROKEN, artifact)
        assert (await client.get(path)).content == b"PAR1 first PAR1"
        second = await claim(api)
        assert (await client.get(path)).content == b"PAR1 first PAR1"
        await send_samples(api, second, b"PAR1 second PAR1")
        await deliver(api, second, FATAL)
        assert (await read(api, f"/api/v1/runs/{run_id}"))["state"] == "failed"
        assert (await client.get(path)).content == b"PAR1 second PAR1"
        assert (await client.get(f"{path}?attempt=1")).content == b"PAR1 first PAR1"
        assert (await client.get(f"{path}?attempt=3")).status_code == 404
        assert (await client.get(f"{path}?attempt=0")).status_code == 422


@pytest.mark.usefixtures("at_once")
async def test_samples_of_a_success_are_its_own(api: Api) -> None:
    """What an earlier attempt left is not handed out as what the record was made from."""
    run_id = (await api.submit()).json()["runs"][0]["id"]
    first = await claim(api)
    await send_samples(api, first, b"PAR1 first PAR1")
    await deliver(api, first, BROKEN)
    second = await claim(api)
    accepted = record(run_id, attempt=2, spec=second["spec"]).model_dump(mode="json")
    await deliver(api, second, {"kind": "success", "record": accepted})
    path = f"/api/v1/runs/{run_id}/samples"
    async with api.client(Role.VIEWER) as client:
        assert (await client.get(path)).status_code == 404
        assert (await client.get(f"{path}?attempt=1")).content == b"PAR1 first PAR1"
