"""Conversions over the API: what is asked for and how, who may speak for a converter, and what is refused."""

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from support.api_client import Api, running_api

from leader.auth.roles import Role
from model_repo.canonical.families import generate
from shared.jobs.spec import FullyConnectedModel

MODEL = generate(FullyConnectedModel(family="fc", layers=1, width=8))
SHA256 = hashlib.sha256(MODEL.onnx_bytes).hexdigest()
AT = "/api/v1/conversions"
NO_SUCH = "c-00000000000000000000000001"


@pytest.fixture
async def api(mongo_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    """A leader with one model."""
    async with running_api(mongo_url, tmp_path) as running:
        async with running.client(Role.SUBMITTER) as client:
            body = {"name": "net", "sha256": SHA256, "size_bytes": len(MODEL.onnx_bytes)}
            await client.post("/api/v1/models", json={**body, "card": MODEL.card.model_dump(mode="json")})
            await client.put("/api/v1/models/net/versions/1/content", content=MODEL.onnx_bytes)
        yield running


async def ask(api: Api, key: str | None = None, **changes: Any) -> Any:
    """The answer to a wish."""
    headers = {} if key is None else {"Idempotency-Key": key}
    async with api.client(Role.SUBMITTER, **headers) as client:
        return await client.post(AT, json={"model": {"name": "net"}, "to": "int8", **changes})


async def test_a_wish_is_accepted_with_an_id_and_links(api: Api) -> None:
    """202; listed, looked at, cancelled, and cancelled again without harm."""
    answer = await ask(api, **{"as": "small"})
    asked = answer.json()
    assert (answer.status_code, asked["state"], asked["name"], asked["owner"]) == (
        202,
        "queued",
        "small",
        "a-submitter",
    )
    assert answer.headers["location"] == asked["links"]["self"] == f"{AT}/{asked['id']}"
    assert asked["links"]["source"] == "/api/v1/models/net/versions/1"
    async with api.client(Role.SUBMITTER) as client:
        assert (await client.get(AT)).json()["items"] == [asked]
        assert (await client.get(AT, params={"state": "running"})).json()["items"] == []
        for _ in range(2):
            cancelled = await client.delete(asked["links"]["self"])
            assert (cancelled.status_code, cancelled.json()["cause"]) == (200, "cancelled by a-submitter")


async def test_the_same_key_is_the_same_conversion(api: Api) -> None:
    """And with another wish it is a mistake."""
    first = await ask(api, "k")
    assert (await ask(api, "k")).json() == first.json()
    other = await ask(api, "k", to="fp16")
    assert (other.status_code, other.json()["code"]) == (409, "idempotency-mismatch")


@pytest.mark.parametrize(
    ("changes", "status", "words"),
    [
        ({"to": "int4"}, 422, "possible: "),
        ({"to": 8}, 422, "to"),
        ({"model": {"name": "nobody"}}, 404, "nobody"),
        ({"model": {"name": "net", "version": 9}}, 404, "9"),
        ({"model": "net"}, 422, "model"),
        ({"as": "../up"}, 422, "as"),
        ({"dataset": "$where"}, 422, "dataset"),
        ({"format": "onnx"}, 422, "format"),
    ],
)
async def test_a_wish_that_cannot_be_is_refused_with_what_is_wrong(
    api: Api, changes: dict[str, Any], status: int, words: str
) -> None:
    """Nothing is queued."""
    answer = await ask(api, **changes)
    assert answer.status_code == status
    assert words in answer.text
    async with api.client(Role.VIEWER) as client:
        assert (await client.get(AT)).json()["items"] == []
        assert (await client.get(f"{AT}/{NO_SUCH}")).status_code == 404
        assert (await client.get(AT, params={"cursor": "j-1"})).status_code == 422


async def test_a_converter_speaks_for_its_own_name_only(api: Api) -> None:
    """A host that is broken into cannot take or spoil another's conversions."""
    await ask(api)
    async with api.client(Role.ADMIN) as client:
        token = (await client.post("/api/v1/tokens", json={"name": "t", "role": "follower", "follower": "w2"})).json()
    foreign = f"/api/v1/converters/w1/conversions/{NO_SUCH}"
    new = {"fence": 1, "sha256": SHA256, "size_bytes": 1, "card": {}}
    async with api.client(None, Authorization=f"Bearer {token['token']}") as client:
        answers = [
            await client.post("/api/v1/converters/w1/claim", json={"incarnation": "i"}),
            await client.post(f"{foreign}/lease", json={"fence": 1}),
            await client.post(f"{foreign}/result", json=new),
            await client.put(f"{foreign}/result?fence=1", content=b"x"),
            await client.post(f"{foreign}/finish", json={"fence": 1, "outcome": "refused"}),
        ]
        assert [(one.status_code, one.json()["code"]) for one in answers] == [(403, "forbidden")] * 5
        own = (await client.post("/api/v1/converters/w2/claim", json={"incarnation": "i"})).json()
        assert own["order"]["source"]["sha256"] == SHA256
        at = f"/api/v1/converters/w2/conversions/{own['order']['id']}"
        stale = await client.post(f"{at}/lease", json={"fence": own["order"]["fence"] + 1})
        assert (stale.status_code, stale.json()["code"]) == (409, "stale-fence")
        assert (await client.post(f"{at}/lease", json={"fence": own["order"]["fence"]})).json() == {"lease_s": 15.0}
