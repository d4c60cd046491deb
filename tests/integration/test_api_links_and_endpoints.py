"""Jobs over a network link, and jobs for what runs already: what a submit says of them, before anything runs."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from support.api_client import Api, follower_registration, running_api

from leader.auth.roles import Role
from shared.wire.identity import PlatformOffer

ENDPOINT = PlatformOffer(platform="endpoint", version="1", launch=("process",), protocol=("http",), device=("cpu",))
JOB = """\
apiVersion: inferbench/v1
kind: Job
name: over-a-link
team: vision
model: {model}
workload: {{pattern: poisson, rate: 50, warmup: 0s, duration: 1s}}
{more}
"""
GENERATED = "{generate: {family: fc, layers: 1, width: 8}}"


@pytest.fixture
async def api(mongo_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    """A leader with a follower without root whose operator lets one endpoint be loaded."""
    usual = follower_registration()
    announced: dict[str, Any] = {
        "platforms": (*usual.capabilities.platforms, ENDPOINT),
        "networks": ("none", "lte", "custom-coarse"),
        "endpoints": ("triton.lab:8000",),
        "endpoint_secrets": ("lab",),
    }
    registration = usual.model_copy(update={"capabilities": usual.capabilities.model_copy(update=announced)})
    async with running_api(mongo_url, tmp_path) as running:
        async with running.client(Role.FOLLOWER) as client:
            answer = await client.post("/api/v1/followers", json=registration.model_dump(mode="json"))
            assert answer.status_code == httpx.codes.OK, answer.text
        yield running


def endpoint(url: str) -> str:
    """A job for a model that is registered nowhere."""
    return JOB.format(model="{name: resnet50}", more=f"service: {{platform: endpoint, url: '{url}'}}")


async def test_a_link_that_a_follower_announces_is_accepted(api: Api) -> None:
    """A profile, and numbers that a proxy can keep."""
    for network in ("lte", "{delay_ms: 20, rate_mbit: 50}"):
        answer = await api.submit(JOB.format(model=GENERATED, more=f"network: {network}"))
        assert answer.status_code == 201, answer.text


@pytest.mark.parametrize(
    ("network", "found"), [("wifi", "wifi"), ("{delay_ms: 1}", "custom"), ("{rate_mbit: 9000}", "custom-fast")]
)
async def test_a_link_that_no_follower_can_carry_is_said_at_submit(api: Api, network: str, found: str) -> None:
    """With what there is."""
    answer = await api.submit(JOB.format(model=GENERATED, more=f"network: {network}"))
    assert answer.status_code == 422
    (problem,) = answer.json()["problems"]
    assert (problem["path"], problem["found"]) == ("network", found)
    assert "lte" in str(problem)


async def test_nonsense_numbers_of_a_link_are_refused_each_at_its_place(api: Api) -> None:
    """Negative, impossible, and contradicting."""
    answer = await api.submit(JOB.format(model=GENERATED, more="network: {delay_ms: -1, loss_pct: 100, rate_mbit: 0}"))
    assert answer.status_code == 422
    paths = {problem["path"] for problem in answer.json()["problems"]}
    assert paths == {"network.delay_ms", "network.loss_pct", "network.rate_mbit"}
    alone = await api.submit(JOB.format(model=GENERATED, more="network: {jitter_ms: 1}"))
    assert alone.status_code == 422
    assert "give delay_ms, too" in alone.text


async def test_an_endpoints_model_need_not_be_registered(api: Api) -> None:
    """Nothing is fetched: the name is what the endpoint calls it."""
    answer = await api.submit(endpoint("http://triton.lab:8000"))
    assert answer.status_code == 201, answer.text


async def test_an_endpoint_that_no_operator_allows_is_said_at_submit(api: Api) -> None:
    """With the addresses that are."""
    answer = await api.submit(endpoint("http://elsewhere.lab:8000"))
    assert answer.status_code == 422
    (problem,) = answer.json()["problems"]
    assert (problem["path"], problem["found"]) == ("service.url", "http://elsewhere.lab:8000")
    assert "triton.lab:8000" in str(problem)


async def test_an_address_that_is_no_address_is_a_fault_of_the_job(api: Api) -> None:
    """Said by the job file's own check."""
    answer = await api.submit(endpoint("https://triton.lab:8000/v2"))
    assert answer.status_code == 422
    assert "and nothing else" in answer.text


async def test_an_encrypted_endpoint_is_accepted_as_the_list_names_it(api: Api) -> None:
    """The list says hosts and ports, whatever is spoken there."""
    assert (await api.submit(endpoint("https://triton.lab:8000"))).status_code == 201


@pytest.mark.parametrize(
    ("secret", "url", "said"), [("lab", "https", 201), ("other", "https", 422), ("lab", "http", 422)]
)
async def test_a_secret_that_no_follower_has_is_said_at_submit(api: Api, secret: str, url: str, said: int) -> None:
    """By its name, with those that there are; and one that would go out in the clear is a fault of the job."""
    service = (
        f"{{platform: endpoint, url: '{url}://triton.lab:8000', endpoint: {{api: openinference, secret: {secret}}}}}"
    )
    answer = await api.submit(JOB.format(model="{name: resnet50}", more=f"service: {service}"))
    assert answer.status_code == said, answer.text
    if said != 201:
        (problem,) = answer.json()["problems"]
        assert problem["path"] == "service.endpoint.secret"
        assert ("lab" if secret == "other" else "over https only") in str(problem)


async def test_a_body_template_is_kept_as_it_was_given(api: Api) -> None:
    """Braces, quotes and header names come back out of the store."""
    template = {
        "api": "template",
        "path": "/p?a=$b",
        "headers": {"X-Team_1": "a.b$c"},
        "body": '{"a.b": "{{sample}}", "$c": 1}',
        "sample": "base64",
    }
    service = {"platform": "endpoint", "url": "http://triton.lab:8000", "endpoint": template}
    more = f"service: {json.dumps(service)}\nrequests: {{dataset: images-small}}"
    answer = await api.submit(JOB.format(model="{name: theirs}", more=more))
    assert answer.status_code == 201, answer.text
    async with api.client(Role.VIEWER) as client:
        job = await client.get(f"/api/v1/jobs/{answer.json()['id']}")
    assert job.json()["spec"]["service"]["endpoint"] == template, job.text
