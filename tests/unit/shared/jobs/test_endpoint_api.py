"""The section ``service.endpoint``: what a template has to be, and what it cannot stand beside."""

from typing import Any

import pytest
from pydantic import ValidationError

from shared.errors import InvalidJobFile
from shared.jobs.document import read_job
from shared.jobs.endpoint_api import TemplateApi
from shared.jobs.schema import value_paths
from shared.jobs.spec import RunSpec, ServiceSpec

BASE64: dict[str, Any] = {"api": "template", "path": "/p", "body": '{"a":"{{sample}}"}', "sample": "base64"}
NUMBERS: dict[str, Any] = {"api": "template", "path": "/p", "body": '{"a":{{sample}}}', "sample": "json"}
SHAPED: dict[str, Any] = {**NUMBERS, "shape": [3]}


def run(endpoint: dict[str, Any], *, dataset: str = "digits", **sections: Any) -> RunSpec:
    """A run against an endpoint."""
    service = {"platform": "endpoint", "url": "http://10.0.0.1:80", "endpoint": endpoint}
    return RunSpec.model_validate(
        {
            "model": {"name": "m"},
            "service": {**service, **sections.pop("service", {})},
            "requests": {"dataset": dataset, **sections.pop("requests", {})},
            "workload": {"pattern": "closed"},
            **sections,
        }
    )


@pytest.mark.parametrize(
    ("endpoint", "dataset"),
    [({"api": "openinference"}, "synthetic"), ({"api": "tensorflow"}, "synthetic"), (BASE64, "digits"),
     (NUMBERS, "digits"), (SHAPED, "synthetic"),
     ({**BASE64, "sample": "text", "body": "{{sample}}", "headers": {"content-type": "text/plain"}}, "digits")],
)  # fmt: skip
def test_what_can_be_spoken_is_accepted(endpoint: dict[str, Any], dataset: str) -> None:
    """Each api in its smallest form."""
    assert run(endpoint, dataset=dataset).service.endpoint is not None


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"body": '{"a":1}'}, "does not stand in it"),
        ({"body": '["{{sample}}","{{sample}}"]'}, "stands in it 2 times"),
        ({"body": '{"a":{{sample}}}'}, "is not JSON once .* with quotes around it"),
        ({"body": '{"a":"{{sample}}"}', "sample": "json"}, "is not JSON once .* without quotes around it"),
        ({"body": '{"a":"{{sample}}"', "sample": "text"}, "is not JSON once"),
        ({"body": '{"a":"{{sample}}","b":NaN}'}, "NaN is no JSON"),
        ({"body": "{{sample}}", "headers": {"Content-Type": "application/x+json"}}, "is not JSON once"),
        ({"headers": {"X-A": "1", "x-a": "2"}}, "given twice"),
        ({"headers": {"content-LENGTH": "1"}}, "not the job's to set"),
        ({"headers": {"Authorization": "Bearer x"}}, "is a secret, and records can be read"),
        ({"headers": {"X-A": "1\r\nX-B: 2"}}, "headers"),
        ({"headers": {"X A": "1"}}, "headers"),
        ({"headers": {"X.A": "1"}}, "headers"),
        ({"path": "p"}, "path"),
        ({"path": "/p q"}, "path"),
        ({"path": "/p HTTP/1.1\r\nX: y"}, "path"),
        ({"answer": "scores"}, "answer"),
        ({"answer": "/a~2"}, "answer"),
        ({"shape": [3]}, "a shape goes with sample: json"),
    ],
)
def test_a_template_that_cannot_be_sent_is_refused(wrong: dict[str, Any], says: str) -> None:
    """Before anything is; no header and no path can carry another request."""
    with pytest.raises(ValidationError, match=says):
        TemplateApi.model_validate({**BASE64, **wrong})


@pytest.mark.parametrize(
    ("endpoint", "beside", "says"),
    [
        (BASE64, {"dataset": "synthetic"}, "synthetic tensors go into a template as sample: json"),
        (NUMBERS, {"dataset": "synthetic"}, "of a given shape"),
        (BASE64, {"requests": {"batch_size": 2}}, "carries one sample"),
        (BASE64, {"service": {"protocol": "grpc"}}, "plain HTTP"),
        (BASE64, {"pipeline": {"preprocess": [{"op": "decode_image"}]}}, "dataset's bytes as they are"),
        (NUMBERS, {"pipeline": {"preprocess": [{"op": "decode_frames"}]}}, "not its frames"),
        (NUMBERS, {"pipeline": {"postprocess": [{"op": "top_k"}]}}, "nothing to post-process"),
        ({"api": "tensorflow"}, {"service": {"platform": "triton", "url": None}}, "goes with platform endpoint only"),
    ],
)
def test_a_template_beside_what_it_cannot_carry_is_refused(
    endpoint: dict[str, Any], beside: dict[str, Any], says: str
) -> None:
    """With what would be right."""
    with pytest.raises(ValidationError, match=says):
        run(endpoint, **beside)


def test_a_key_of_another_api_is_told_with_its_line() -> None:
    """As for every choice of a job file."""
    job = """\
name: x
model: {name: m}
service:
  platform: endpoint
  url: http://a:80
  endpoint:
    api: tensorflow
    path: /p
workload: {pattern: closed}
"""
    with pytest.raises(InvalidJobFile) as caught:
        read_job(job)
    (problem,) = caught.value.problems
    assert (problem.path, problem.line) == ("service.endpoint.path", 8)
    assert problem.message == "does not go with api tensorflow, only with template"


def test_a_body_is_json_unless_its_type_says_otherwise() -> None:
    """Case and parameters do not count."""
    types = {"": True, "Application/JSON; charset=utf-8": True, "application/x+json": True, "text/plain": False}
    for content_type, is_json in types.items():
        headers = {"content-Type": content_type} if content_type else {}
        assert TemplateApi.model_validate({**BASE64, "headers": headers}).is_json is is_json


@pytest.mark.parametrize("endpoint", [{"api": "openinference"}, {"api": "tensorflow"}, BASE64])
def test_a_secret_is_named_in_every_api_and_goes_out_over_https_only(endpoint: dict[str, Any]) -> None:
    """A name, and no value: that is the operator's."""
    service = {"platform": "endpoint", "url": "https://a.lab", "endpoint": {**endpoint, "secret": "lab-1"}}
    assert ServiceSpec.model_validate(service).endpoint.secret == "lab-1"  # type: ignore[union-attr]
    with pytest.raises(ValidationError, match="a secret is sent over https only"):
        ServiceSpec.model_validate({**service, "url": "http://a.lab"})
    with pytest.raises(ValidationError, match="secret"):
        ServiceSpec.model_validate({**service, "endpoint": {**endpoint, "secret": "Bearer x"}})


def test_a_sweep_may_vary_what_is_sent() -> None:
    """The paths of a service's APIs side by side."""
    assert {"service.endpoint.api", "service.endpoint.body", "service.endpoint.path"} <= set(value_paths())
