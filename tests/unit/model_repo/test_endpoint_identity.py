"""Of what is served behind an address: which records of it may be compared."""

from typing import Any

from model_repo.identity import model_digest
from shared.jobs.spec import RunSpec

TEMPLATE = {"api": "template", "path": "/a", "body": '["{{sample}}"]', "sample": "base64"}


def digest(endpoint: dict[str, Any] | None = None, url: str = "http://a:80", model: str = "m") -> str | None:
    """Of a run against an endpoint."""
    return model_digest(
        RunSpec.model_validate(
            {
                "model": {"name": model},
                "service": {"platform": "endpoint", "url": url, "endpoint": endpoint},
                "requests": {"dataset": "digits"},
                "workload": {"pattern": "closed"},
            }
        ),
        None,
    )


def test_an_endpoints_model_is_its_address_and_its_name_there() -> None:
    """Whatever it is asked over: protocols of one server may be compared. Known since before there was a choice."""
    assert digest() == "4175142fd956ea4da59f7459c7597788471708df51246c740c61a5b560fc6682"
    assert digest({"api": "tensorflow"}) == digest({"api": "openinference"}) == digest()
    assert len({digest(), digest(url="http://b:80"), digest(model="n")}) == 3


def test_a_template_is_part_of_the_name() -> None:
    """Two paths, or two bodies, may ask two models."""
    others = [TEMPLATE, {**TEMPLATE, "path": "/b"}, {**TEMPLATE, "body": '{"a":"{{sample}}"}'}]
    assert len({digest(), *map(digest, others)}) == 4
