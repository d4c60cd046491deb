"""From a delivered result to a leaderboard row, as people read it over the API."""

from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from support.api_client import TINY_JOB, YAML, Api, running_api
from support.stored_records import record

from leader.auth.roles import Role

SAMPLES = b"PAR1 raw samples PAR1"


@pytest.fixture
async def api(mongo_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    """A leader with one registered follower, f1."""
    async with running_api(mongo_url, tmp_path) as running:
        await running.register_follower()
        yield running


async def measured(api: Api, *, p99_ms: float, job: str = TINY_JOB) -> str:
    """Submit, claim, upload samples and deliver a record with this p99; the run's id."""
    submitted = await api.submit(job)
    assert submitted.status_code == 201, submitted.text
    async with api.client(Role.FOLLOWER) as follower:
        at = "/api/v1/followers/f1"
        given = (await follower.post(f"{at}/claim", json={"incarnation": "i-1", "slot": "cpu-0"})).json()
        run_id, right = given["run_id"], {"attempt": given["attempt"], "fence": given["fence"]}
        digest = sha256(SAMPLES).hexdigest()
        artifact = await follower.put(
            f"{at}/runs/{run_id}/artifacts/samples", params={**right, "sha256": digest}, content=SAMPLES
        )
        assert artifact.status_code == 201, artifact.text
        run = await api.leader.desk.perfdb.runs.get(run_id)
        delivered = record(
            run_id, p99_ms=p99_ms, comparability_key=run.comparability_key, spec=given["spec"], samples_sha256=digest
        )
        outcome = {"kind": "success", "record": delivered.model_dump(mode="json")}
        body = {"incarnation": "i-1", **right, "outcome": outcome, "artifacts": [artifact.json()]}
        answer = await follower.post(f"{at}/runs/{run_id}/result", json=body)
        assert answer.json() == {"accepted": True, "state": "succeeded"}, answer.text
    return str(run_id)


async def read(api: Api, path: str) -> dict[str, Any]:
    """What a viewer gets."""
    async with api.client(Role.VIEWER) as client:
        answer = await client.get(path)
    assert answer.status_code == 200, answer.text
    view: dict[str, Any] = answer.json()
    return view


async def test_a_delivered_record_is_read_back_with_its_samples(api: Api) -> None:
    """The run has succeeded, its record is there, and the raw samples come byte by byte."""
    run_id = await measured(api, p99_ms=12.5)
    assert (await read(api, f"/api/v1/runs/{run_id}"))["state"] == "succeeded"
    shown = await read(api, f"/api/v1/runs/{run_id}/record")
    assert shown["record"]["response_latency"]["percentiles"]["p99"]["ms"] == 12.5
    job_id = run_id.split(".")[0]
    assert [item["run_id"] for item in (await read(api, f"/api/v1/records?job_id={job_id}"))["items"]] == [run_id]
    assert (await read(api, f"/api/v1/jobs/{job_id}"))["state"] == "succeeded"
    async with api.client(Role.VIEWER) as client:
        samples = await client.get(f"/api/v1/runs/{run_id}/samples")
    assert samples.content == SAMPLES
    assert samples.headers["content-disposition"] == f'attachment; filename="{run_id}.parquet"'


async def test_comparable_records_are_ranked_by_the_metrics_own_direction(api: Api) -> None:
    """Lower latency is better; equal throughput leaves every row in; the best is first and has rank 1."""
    slow, fast = await measured(api, p99_ms=30.0), await measured(api, p99_ms=10.0)
    board = await read(api, "/api/v1/leaderboard")
    assert (board["metric"], board["unit"], board["higher_is_better"]) == ("p99_ms", "ms", False)
    (group,) = board["groups"]
    assert [(row["rank"], row["run_id"], row["value"]) for row in group["rows"]] == [(1, fast, 10.0), (2, slow, 30.0)]
    assert (await read(api, "/api/v1/leaderboard?metric=throughput_rps"))["higher_is_better"] is True


async def test_what_may_not_be_compared_is_not_ranked_together(api: Api) -> None:
    """Another rate is another task, so another group; filters and the key pick among them."""
    await measured(api, p99_ms=10.0)
    other = await measured(api, p99_ms=1.0, job=TINY_JOB.replace("rate: 50", "rate: 500"))
    board = await read(api, "/api/v1/leaderboard")
    assert [len(group["rows"]) for group in board["groups"]] == [1, 1]
    key = next(g["comparability_key"] for g in board["groups"] if g["rows"][0]["run_id"] == other)
    assert len((await read(api, f"/api/v1/leaderboard?key={key}"))["groups"]) == 1
    assert (await read(api, "/api/v1/leaderboard?team=nobody"))["groups"] == []
    assert len((await read(api, "/api/v1/leaderboard?team=vision&platform=onnxruntime"))["groups"]) == 2


async def test_an_unknown_metric_is_refused_with_the_nearest(api: Api) -> None:
    """A metric is a registered name, never a field of a document."""
    async with api.client(Role.VIEWER) as client:
        near = await client.get("/api/v1/leaderboard?metric=p99_mss")
        operator = await client.get("/api/v1/leaderboard?metric=$where")
    assert (near.status_code, near.json()["code"]) == (422, "invalid-input")
    assert "p99_ms" in near.text
    assert operator.status_code == 422


async def test_records_come_in_pages(api: Api) -> None:
    """Newest first; the cursor leads on and ends."""
    runs = [await measured(api, p99_ms=float(i)) for i in range(1, 4)]
    first = await read(api, "/api/v1/records?limit=2")
    assert [item["run_id"] for item in first["items"]] == runs[:0:-1]
    rest = await read(api, f"/api/v1/records?limit=2&cursor={first['next_cursor']}")
    assert [item["run_id"] for item in rest["items"]] == runs[:1]
    assert rest["next_cursor"] is None


async def test_a_reused_number_always_shows_where_it_was_measured(api: Api) -> None:
    """The run, its only event, its record: each names the origin; the leaderboard has the measurement once."""
    origin = await measured(api, p99_ms=12.5)
    submitted = (await api.submit(TINY_JOB + "reuse: if-equal\n")).json()
    (run,) = submitted["runs"]
    assert (submitted["state"], run["attempt"], run["fence"], run["follower"]) == ("succeeded", 0, 0, None)
    assert (run["reused_from"]["run_id"], run["reused_from"]["follower"]) == (origin, "f1")
    shown = await read(api, f"/api/v1/runs/{run['id']}/record")
    assert (shown["run_id"], shown["record"]["run_id"]) == (run["id"], origin)
    assert shown["reused_from"] == run["reused_from"] == (await read(api, f"/api/v1/runs/{run['id']}"))["reused_from"]
    assert run["links"]["origin"] == f"/api/v1/runs/{origin}"
    async with api.client(Role.VIEWER) as client:
        events = (await client.get(f"/api/v1/runs/{run['id']}/events")).text
        samples = await client.get(f"/api/v1/runs/{run['id']}/samples")
    assert events.count("event: ") == 1
    assert f"reused from run {origin}, measured" in events
    assert (samples.status_code, origin in samples.json()["detail"]) == (404, True)
    (group,) = (await read(api, "/api/v1/leaderboard"))["groups"]
    assert (group["record_count"], len(group["rows"])) == (1, 1)


async def test_a_plan_tells_what_was_measured_and_when_it_would_start(api: Api) -> None:
    """A viewer may ask; the second repeat is of another seed, so only it would be run."""
    origin = await measured(api, p99_ms=12.5)
    async with api.client(Role.VIEWER) as client:
        text = TINY_JOB + "reuse: if-equal\nrepeats: 2\n"
        answer = await client.post("/api/v1/jobs/plan", content=text.encode(), headers=YAML)
    plan = answer.json()
    assert answer.status_code == 200, answer.text
    assert [(run["equal_count"], run["equal_runs"]) for run in plan["runs"]] == [(1, [origin]), (0, [])]
    assert plan["runs"][0]["reused_from"]["run_id"] == origin
    assert plan["runs"][1]["reused_from"] is None
    assert plan["predicted_s"] == plan["runs"][1]["predicted_s"]
    assert plan["starts_in"]["p50_s"] == 0
    assert plan["ends_in"]["p90_s"] >= plan["ends_in"]["p50_s"] > 0
    assert "slots can run them" in plan["forecast"]


async def test_an_unknown_reuse_is_refused_with_its_place(api: Api) -> None:
    """With what would be right."""
    answer = await api.submit(TINY_JOB + "reuse: always\n")
    (problem,) = answer.json()["problems"]
    assert (answer.status_code, problem["path"], problem["line"]) == (422, "reuse", 7)
    assert "if-equal" in problem["allowed"]
