"""Jobs over the API: accepted once, refused with every fault, and nothing stored of what was refused."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from support.api_client import TINY_JOB, YAML, Api, running_api

from leader.auth.roles import Role
from leader.perfdb.entities import JobFilter


@pytest.fixture
async def api(mongo_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    """A leader with an empty database and a follower that can run TINY_JOB."""
    async with running_api(mongo_url, tmp_path) as running:
        await running.register_follower()
        yield running


async def stored_jobs(api: Api) -> int:
    """How many jobs PerfDB holds."""
    return len(await api.leader.desk.perfdb.jobs.page(JobFilter(), before=None, limit=1000))


async def test_a_job_is_accepted_with_ids_and_links(api: Api) -> None:
    """201, Location, the owner is the token's name, and the job can be read back."""
    answer = await api.submit()
    job = answer.json()
    assert answer.status_code == 201, answer.text
    assert answer.headers["location"] == f"/api/v1/jobs/{job['id']}"
    assert (job["owner"], job["team"], job["state"], job["run_count"]) == ("a-submitter", "vision", "queued", 1)
    async with api.client(Role.VIEWER) as client:
        read = (await client.get(answer.headers["location"])).json()
        run = (await client.get(f"/api/v1/runs/{job['id']}.0000")).json()
    assert [run["id"] for run in read["runs"]] == [f"{job['id']}.0000"]
    assert (run["state"], run["job_id"]) == ("queued", job["id"])


async def test_json_is_a_job_file_too(api: Api) -> None:
    """The same job as JSON."""
    body = {
        "name": "tiny", "model": {"generate": {"family": "fc", "layers": 1, "width": 8}},
        "workload": {"pattern": "closed", "concurrency": 1, "duration": "1s"},
    }  # fmt: skip
    async with api.client(Role.SUBMITTER) as client:
        answer = await client.post("/api/v1/jobs", json=body)
    assert answer.status_code == 201, answer.text


BAD_FILES: list[Any] = [
    pytest.param("x: 1\n" * 20_000, 413, "too-large", "65536", id="oversized"),
    pytest.param("a: &a [1]\nb: *a\n", 422, "invalid-job-file", "alias", id="aliased"),
    pytest.param(TINY_JOB + "nmae: x\n", 422, "invalid-job-file", "nmae", id="unknown-key"),
    pytest.param(TINY_JOB.replace("rate: 50", "rate: -1"), 422, "invalid-job-file", "rate", id="rate-below-zero"),
    pytest.param(TINY_JOB + "sweep: {service.threads: [" + ",".join(map(str, range(1, 317))) + "], workload.seed: ["
                 + ",".join(map(str, range(1, 318))) + "]}\n", 422, "invalid-job-file", "sweep", id="100172-points"),
    pytest.param(TINY_JOB.replace("{generate: {family: fc, layers: 1, width: 8}}", "{name: nobody}"),
                 404, "not-found", "nobody", id="unknown-model"),
    pytest.param(TINY_JOB + "service: {platform: triton}\n", 422, "not-available", "triton", id="not-announced"),
    pytest.param(TINY_JOB + "name: again\n", 422, "invalid-job-file", "name", id="duplicate-key"),
    pytest.param("!!python/object/apply:os.system [id]\n", 422, "invalid-job-file", "", id="tagged"),
    pytest.param("[", 422, "invalid-job-file", "", id="not-yaml"),
    pytest.param("", 422, "invalid-job-file", "", id="empty"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "status", "code", "named"), BAD_FILES)
async def test_a_bad_job_file_is_refused_with_its_fault_and_nothing_is_stored(
    api: Api, text: str, status: int, code: str, named: str
) -> None:
    """Each fault has a stable code and is named; PerfDB stays empty; no traceback is shown."""
    answer = await api.submit(text)
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert named in answer.text
    assert "Traceback" not in answer.text
    assert await stored_jobs(api) == 0


async def test_all_faults_of_a_file_come_at_once_with_their_places(api: Api) -> None:
    """Line, column and the nearest known name of each."""
    answer = await api.submit(TINY_JOB.replace("rate: 50", "rate: -1") + "repeets: 3\n")
    problems = {problem["path"]: problem for problem in answer.json()["problems"]}
    assert problems["workload.rate"]["line"] == 6
    assert problems["repeets"]["suggestion"] == "repeats"
    assert (problems["repeets"]["line"], problems["repeets"]["column"]) == (7, 1)


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "text/yaml", None])
async def test_a_body_of_another_type_is_refused(api: Api, content_type: str | None) -> None:
    """No request that a foreign web page can send without asking becomes a job."""
    headers = {"Content-Type": content_type} if content_type else {}
    async with api.client(Role.SUBMITTER) as client:
        answer = await client.post("/api/v1/jobs", content=TINY_JOB.encode(), headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported-media-type")
    assert await stored_jobs(api) == 0


async def test_the_same_key_and_body_is_the_same_job(api: Api) -> None:
    """A client that lost the answer sends it again and gets the first job with 200."""
    first, second = [await api.submit(**{"Idempotency-Key": "k-1"}) for _ in range(2)]
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json()["id"] == second.json()["id"]
    assert await stored_jobs(api) == 1


async def test_the_same_key_with_another_body_is_refused(api: Api) -> None:
    """The first job stays as it is."""
    await api.submit(**{"Idempotency-Key": "k-1"})
    answer = await api.submit(TINY_JOB + "repeats: 2\n", **{"Idempotency-Key": "k-1"})
    assert (answer.status_code, answer.json()["code"]) == (409, "idempotency-mismatch")
    assert await stored_jobs(api) == 1


async def test_ten_submits_at_once_with_one_key_make_one_job(api: Api) -> None:
    """Exactly one is told that it created the job; all are told the same job."""
    answers = await asyncio.gather(*(api.submit(**{"Idempotency-Key": "k-1"}) for _ in range(10)))
    assert sorted(answer.status_code for answer in answers) == [200] * 9 + [201]
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert await stored_jobs(api) == 1


async def test_one_owners_key_is_not_anothers(api: Api) -> None:
    """Keys are the owner's own."""
    first = await api.submit(**{"Idempotency-Key": "k-1"})
    async with api.client(Role.ADMIN) as admin:
        second = await admin.post("/api/v1/jobs", content=TINY_JOB.encode(), headers={**YAML, "Idempotency-Key": "k-1"})
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json()["id"] != second.json()["id"]


async def test_a_key_with_odd_characters_is_refused(api: Api) -> None:
    """A key is printable and short."""
    assert (await api.submit(**{"Idempotency-Key": "a" * 256})).status_code == 422


async def test_validate_and_plan_store_nothing(api: Api) -> None:
    """Validate fills in the defaults; plan expands and predicts."""
    text = TINY_JOB + "repeats: 2\nsweep: {workload.rate: [10, 20, 40]}\n"
    async with api.client(Role.VIEWER) as client:
        valid = (await client.post("/api/v1/jobs/validate", content=text.encode(), headers=YAML)).json()
        plan = (await client.post("/api/v1/jobs/plan", content=text.encode(), headers=YAML)).json()
    assert valid["valid"] is True
    assert valid["effective"]["service"]["platform"] == "onnxruntime"
    assert valid["run_count"] == 6
    assert len(plan["runs"]) == 6
    assert {run["point"]["workload.rate"] for run in plan["runs"]} == {10, 20, 40}
    assert plan["predicted_s"] >= 6  # six runs of one second each
    assert await stored_jobs(api) == 0


async def test_jobs_are_listed_newest_first_in_pages_without_gap_or_repeat(api: Api) -> None:
    """Cursors lead through all of them."""
    ids = [(await api.submit()).json()["id"] for _ in range(5)]
    seen: list[str] = []
    cursor: str | None = None
    async with api.client(Role.VIEWER) as client:
        for _ in range(5):
            params = {"limit": "2"} | ({"cursor": cursor} if cursor else {})
            page = (await client.get("/api/v1/jobs", params=params)).json()
            seen += [job["id"] for job in page["items"]]
            cursor = page["next_cursor"]
            if cursor is None:
                break
    assert seen == ids[::-1]


async def test_jobs_are_filtered_by_team_name_and_state(api: Api) -> None:
    """Equality only."""
    await api.submit()
    await api.submit(TINY_JOB.replace("team: vision", "team: speech"))
    async with api.client(Role.VIEWER) as client:

        async def count(**params: str) -> int:
            return len((await client.get("/api/v1/jobs", params=params)).json()["items"])

        assert await count(team="speech") == 1
        assert await count(name="tiny") == 2
        assert await count(name="tiny", team="nobody") == 0
        assert await count(state="queued") == 2
        assert await count(state="failed") == 0


@pytest.mark.parametrize(
    "query",
    ["name=$ne", "name[$ne]=x", 'team={"$gt":""}', "state=anything", "nmae=tiny", "limit=0", "limit=100000",
     "limit=1&limit=2", "cursor=$ne", "cursor=AAAA", "owner=x", "name="],
)  # fmt: skip
async def test_operators_unknown_filters_and_forged_cursors_are_refused(api: Api, query: str) -> None:
    """422, never "no filter" and never an operator in a query."""
    async with api.client(Role.VIEWER) as client:
        answer = await client.get(f"/api/v1/jobs?{query}")
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid-input"), answer.text
    assert answer.json()["detail"]


@pytest.mark.parametrize("path", ["models", "records", "leaderboard", "datasets", "followers"])
async def test_every_list_refuses_operators(api: Api, path: str) -> None:
    """The same holds for every collection."""
    async with api.client(Role.VIEWER) as client:
        assert (await client.get(f"/api/v1/{path}?name[$ne]=x")).status_code == 422


async def test_cancelling_a_job_ends_its_runs_and_may_be_repeated(api: Api) -> None:
    """All runs are cancelled; asking again changes nothing."""
    job = (await api.submit(TINY_JOB + "repeats: 3\n")).json()
    async with api.client(Role.SUBMITTER) as client:
        for _ in range(2):
            answer = await client.post(f"/api/v1/jobs/{job['id']}/cancel")
            assert (answer.status_code, answer.json()["state"]) == (200, "cancelled")
            assert answer.json()["run_states"]["cancelled"] == 3


async def test_cancelling_a_finished_run_is_a_conflict(api: Api) -> None:
    """409, and the run stays what it was."""
    job = (await api.submit()).json()
    run = f"/api/v1/runs/{job['id']}.0000"
    async with api.client(Role.SUBMITTER) as client:
        assert (await client.post(f"{run}/cancel")).json()["state"] == "cancelled"
        answer = await client.post(f"{run}/cancel")
        assert (answer.status_code, answer.json()["code"]) == (409, "conflict")
        assert (await client.get(run)).json()["state"] == "cancelled"


@pytest.mark.parametrize(
    "path",
    ["/api/v1/jobs/j-nobody", "/api/v1/runs/x.0000", "/api/v1/runs/x.0000/events", "/api/v1/runs/x.0000/log",
     "/api/v1/runs/x.0000/samples", "/api/v1/runs/x.0000/record", "/api/v1/nothing", "/", "/docs"],
)  # fmt: skip
async def test_what_does_not_exist_is_a_404_document(api: Api, path: str) -> None:
    """Also for streams and files, and for paths that no route has."""
    async with api.client(Role.VIEWER) as client:
        answer = await client.get(path)
    assert (answer.status_code, answer.json()["code"]) == (404, "not-found")


async def test_a_wrong_method_is_a_405_document(api: Api) -> None:
    """With the methods that are allowed."""
    async with api.client() as client:
        answer = await client.put("/api/v1/jobs")
    assert (answer.status_code, answer.json()["code"]) == (405, "method-not-allowed")
    assert answer.headers["allow"]


@pytest.mark.parametrize("body", ['{"name": {"$ne": null}}', '{"name": NaN}', "[]", '{"card": {}}', '{"x": 1'])
async def test_bodies_of_other_shapes_are_refused(api: Api, body: str) -> None:
    """An object where a string belongs is an error, not a query."""
    async with api.client() as client:
        answer = await client.post("/api/v1/models", content=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid-input"), answer.text


async def test_json_bodies_have_a_limit(api: Api) -> None:
    """One megabyte, checked before anything is parsed."""
    body = json.dumps({"name": "x", "card": {"description": "x" * 2_000_000}})
    async with api.client() as client:
        answer = await client.post("/api/v1/models", content=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (413, "too-large")


async def test_a_chunked_job_file_has_the_same_limit(api: Api) -> None:
    """Without Content-Length the body is counted as it comes."""

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b"x: 1\n" * 1000

    async with api.client(Role.SUBMITTER) as client:
        answer: httpx.Response = await client.post("/api/v1/jobs", content=endless(), headers=YAML)
    assert (answer.status_code, answer.json()["code"]) == (413, "too-large")


async def test_the_schema_served_accepts_the_job_that_the_leader_accepts(api: Api) -> None:
    """What editors validate against is the contract."""
    import jsonschema  # noqa: PLC0415 - only this test needs it

    async with api.client(Role.VIEWER) as client:
        schema = (await client.get("/api/v1/schemas/job")).json()
    jsonschema.validate({"name": "a", "model": {"name": "m"}, "workload": {"pattern": "closed"}}, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"nmae": "a"}, schema)


URGENT = TINY_JOB + "priority: urgent\n"


async def test_an_urgent_job_is_for_administrators(api: Api) -> None:
    """A submitter is told who may, what else to use, and where the file says it; nothing is stored."""
    answer = await api.submit(URGENT)
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (403, "forbidden")
    assert "only a token of role admin may submit with priority urgent: use high, or ask" in problem["detail"]
    (place,) = problem["problems"]
    assert (place["path"], place["line"], place["found"], place["allowed"]) == (
        "priority", 7, "urgent", "low, normal, high",
    )  # fmt: skip
    assert await stored_jobs(api) == 0
    async with api.client(Role.ADMIN) as client:
        accepted = await client.post("/api/v1/jobs", content=URGENT.encode(), headers=YAML)
    assert (accepted.status_code, accepted.json()["priority"]) == (201, "urgent")


@pytest.mark.parametrize("path", ["validate", "plan"])
async def test_anybody_may_see_what_an_urgent_job_would_do(api: Api, path: str) -> None:
    """Looking puts nothing before anybody else's work."""
    async with api.client(Role.SUBMITTER) as client:
        answer = await client.post(f"/api/v1/jobs/{path}", content=URGENT.encode(), headers=YAML)
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("priority", ["low", "normal", "high"])
async def test_every_submitter_may_use_the_other_priorities(api: Api, priority: str) -> None:
    """As ever."""
    assert (await api.submit(TINY_JOB + f"priority: {priority}\n")).status_code == 201
