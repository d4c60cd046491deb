"""The published description: current, complete, and stable where clients depend on it."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from leader.api import openapi
from leader.api.access import ACCESS
from leader.app import describe_app


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    """As it is committed."""
    loaded: dict[str, Any] = json.loads(openapi.DOCUMENT.read_text())
    return loaded


def operations(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Every operation."""
    for item in document["paths"].values():
        yield from item.values()


def references(node: Any) -> Iterator[str]:
    """Every $ref below ``node``."""
    if isinstance(node, dict):
        yield from (value for key, value in node.items() if key == "$ref")
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def test_the_committed_document_is_current() -> None:
    """If this fails: python -m leader.api.openapi."""
    assert openapi.DOCUMENT.read_text() == openapi.as_text(describe_app())


def test_the_check_tells_by_its_exit_code(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """--check changes nothing and fails on a stale or missing file; without it the file is written."""
    monkeypatch.setattr(openapi, "DOCUMENT", tmp_path / "openapi.json")
    assert openapi.main(["--check"]) == 1
    assert openapi.main([]) == 0
    assert openapi.main(["--check"]) == 0
    openapi.DOCUMENT.write_text("{}")
    assert openapi.main(["--check"]) == 1
    assert openapi.DOCUMENT.read_text() == "{}"


def test_operation_ids_are_the_names_of_the_access_table(document: dict[str, Any]) -> None:
    """Generated clients name their methods by them, so they neither repeat nor drift."""
    ids = [operation["operationId"] for operation in operations(document)]
    assert sorted(ids) == sorted(ACCESS)


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    """No schema is named that is not there, and none of FastAPI's own error shapes is left."""
    schemas = document["components"]["schemas"]
    assert {ref.removeprefix("#/components/schemas/") for ref in references(document)} <= schemas.keys()
    assert "HTTPValidationError" not in schemas


def test_every_error_is_a_problem_document(document: dict[str, Any]) -> None:
    """Clients read errors in one way."""
    for operation in operations(document):
        for status, answer in operation["responses"].items():
            if status[0] == "4":
                assert list(answer["content"]) == ["application/problem+json"], operation["operationId"]


def test_everything_but_health_needs_a_token(document: dict[str, Any]) -> None:
    """And says so, with 401 and 403 among its answers."""
    free = {operation["operationId"] for operation in operations(document) if "security" not in operation}
    assert free == {"getHealth", "getReadiness"}
    for operation in operations(document):
        if operation["operationId"] not in free:
            assert {"401", "403"} <= operation["responses"].keys()


def test_a_job_file_is_described_as_yaml_and_json(document: dict[str, Any]) -> None:
    """The body that FastAPI does not see."""
    body = document["paths"]["/api/v1/jobs"]["post"]["requestBody"]
    assert set(body["content"]) == {"application/yaml", "application/json"}


def test_a_submit_documents_created_repeated_and_mismatched(document: dict[str, Any]) -> None:
    """201, 200 and 409, beside the refusals."""
    answers = document["paths"]["/api/v1/jobs"]["post"]["responses"]
    assert {"200", "201", "409", "413", "415", "422"} <= answers.keys()
