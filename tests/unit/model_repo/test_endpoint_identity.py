"""Of what is served behind an address: which records of it may be compared."""

from typing import Any

from support.assignments import run_spec

from model_repo.identity import model_digest
from shared.jobs.keys import asked_key, comparability_key, configuration_key
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


def test_what_we_are_let_in_with_is_not() -> None:
    """The same model answers."""
    url = "https://a:443"
    for endpoint in (TEMPLATE, {"api": "openinference"}):
        assert digest({**endpoint, "secret": "lab"}, url) == digest(endpoint, url)


def test_keys_of_endpoints_are_what_they_were_before_there_were_secrets() -> None:
    """So that records of one endpoint, old and new, still compare."""
    spec = run_spec(
        model={"name": "m"}, service={"platform": "endpoint", "url": "http://a:1", "endpoint": {"api": "openinference"}}
    )
    comparability = comparability_key(spec, model_digest(spec, None), None)
    assert comparability == "105e1a5523bc1696c10fa43cc57d31665aef4e1b3404a54a5bbb1249ce501278"
    assert asked_key(comparability, spec) == "bfaee834589501d1bf4da56bdb40621c43bd2f933f65686fc119ad0ed081610c"
    configuration = configuration_key(comparability, spec.service, {}, {})
    assert configuration == "e2e5b1bd1f007ae24fec81f5bd229e9027a646c2c286ac12864a6352f695a5b7"
