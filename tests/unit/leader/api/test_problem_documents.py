"""Any exception becomes a problem document, and none of them says too much."""

import json
from typing import Any

import pytest
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from leader.api.problems import MEDIA_TYPE, as_known, problems_of, response
from shared.errors import InferBenchError, InvalidJobFile, NotFound, Problem, Unauthenticated, Unavailable


def test_an_own_error_keeps_its_code_and_every_problem() -> None:
    """The document holds what the error tree says."""
    error = InvalidJobFile("two faults", problems=[Problem(message="a", path="x", line=3), Problem(message="b")])
    answer = response(error, "req-1")
    body = json.loads(bytes(answer.body))
    assert answer.status_code == 422
    assert answer.media_type == MEDIA_TYPE
    assert body["code"] == "invalid-job-file"
    assert body["instance"] == "req-1"
    assert body["problems"] == [{"message": "a", "path": "x", "line": 3}, {"message": "b", "path": ""}]


@pytest.mark.parametrize(("error", "header"), [(Unavailable(), "Retry-After"), (Unauthenticated(), "WWW-Authenticate")])
def test_some_errors_tell_the_client_what_to_do(error: InferBenchError, header: str) -> None:
    """When to come back, how to authenticate."""
    assert header in response(error, None).headers


@pytest.mark.parametrize(("status", "code"), [(404, "not-found"), (405, "method-not-allowed"), (400, "bad-request")])
def test_the_frameworks_errors_are_ours_too(status: int, code: str) -> None:
    """No {"detail": ...} of another shape reaches a client."""
    known = as_known(HTTPException(status), "GET", "/nowhere")
    assert (known.status, known.code) == (status, code)


def test_an_unforeseen_error_says_nothing_of_its_insides() -> None:
    """Neither message nor type of an unexpected exception is shown."""
    known = as_known(KeyError("mongodb://user:hunter2@db"), "GET", "/")
    assert (known.status, known.code) == (500, "internal")
    assert "hunter2" not in json.dumps(json.loads(bytes(response(known, None).body)))


def test_a_lookup_that_found_nothing_stays_a_404() -> None:
    """Own errors pass unchanged."""
    error = NotFound("there is no job j-1")
    assert as_known(error, "GET", "/") is error


def test_validation_errors_name_path_and_finding() -> None:
    """Pydantic's entries lose the part of the request they stand in, and long findings are cut."""
    entries: list[dict[str, Any]] = [
        {"loc": ("query", "limit"), "msg": "Input should be less than 200", "input": "9" * 500},
        {"loc": ("body", "card", 0), "msg": "Field required", "input": {"a": "secret"}},
        {"loc": ("body",), "msg": "Field required", "input": None},
    ]
    first, second, third = problems_of(entries)
    assert (first.path, len(first.found or "")) == ("limit", 83)
    assert (second.path, second.found) == ("card.0", None)
    assert (third.path, third.message) == ("", "body: Field required")


def test_a_summary_names_a_few_and_says_that_there_are_more() -> None:
    """The detail fits on a line; the problems are all listed."""
    entries = [{"loc": ("body", f"f{i}"), "msg": "no", "input": i} for i in range(9)]
    known = as_known(RequestValidationError(entries), "POST", "/")
    assert known.detail == "f0: no; f1: no; f2: no; ..."
    assert len(known.problems) == 9
