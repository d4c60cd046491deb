"""The OpenAPI document: FastAPI's, completed from the access table. ``python -m leader.api.openapi [--check]``."""

import argparse
import json
import sys
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic.json_schema import models_json_schema

from leader.api import bodies, problems
from leader.api.access import ACCESS, Access, Body
from leader.api.files import BYTES
from leader.auth.roles import Permission
from shared.wire.history import HistoryFacts
from shared.wire.views import EventView, ProblemDocument

DOCUMENT: Final = Path(__file__).parents[2] / "docs" / "openapi.json"
_SECURITY: Final[Mapping[str, list[str]]] = {"bearer": []}
_REF: Final = "#/components/schemas/{model}"
_NO_ANSWERS: Final = (ProblemDocument, EventView, HistoryFacts)
"""Models that no route returns as its body, and that are sent all the same."""

_NOT_FASTAPIS: Final = ("HTTPValidationError", "ValidationError")

_OF_BODY: Final[Mapping[Body, tuple[int, ...]]] = {
    Body.NONE: (),
    Body.JSON: (413, 415),
    Body.JOB_FILE: (413, 415),
    Body.STREAM: (408, 413),
}


def describe(app: FastAPI) -> dict[str, Any]:
    """The document of ``app``: every operation with its permission, its body and every problem that it may answer."""
    document = get_openapi(
        title="InferBench",
        version="1",
        summary="A self-hosted benchmark service for inference serving.",
        routes=app.routes,
    )
    components = document["components"]
    components["securitySchemes"] = {"bearer": {"type": "http", "scheme": "bearer"}}
    _, extra = models_json_schema([(model, "serialization") for model in _NO_ANSWERS], ref_template=_REF)
    components["schemas"] = extra["$defs"] | components["schemas"]
    for name in _NOT_FASTAPIS:
        components["schemas"].pop(name, None)
    for path, operation in _operations(document):
        _complete(operation, ACCESS[operation["operationId"]], has_parameter_in_path="{" in path)
    return document


def _operations(document: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        for operation in item.values():
            yield path, operation


def _complete(operation: dict[str, Any], access: Access, *, has_parameter_in_path: bool) -> None:
    closed = access.permission is not Permission.OPEN
    if closed:
        operation["security"] = [dict(_SECURITY)]
        operation["x-permission"] = str(access.permission)
    if access.body is Body.JOB_FILE:
        operation["requestBody"] = _job_file_body()
    if access.body is Body.STREAM:
        binary = {"schema": {"type": "string", "format": "binary"}}
        operation["requestBody"] = {"required": True, "content": {BYTES: binary}}
    responses = operation["responses"]
    responses.pop("422", None)
    statuses = [*((401, 403, 503) if closed else ()), *_OF_BODY[access.body], 422]
    statuses += [404] if has_parameter_in_path or access.body is Body.JOB_FILE else []
    statuses += [int(status) for status in responses if status.startswith("4")]
    for status in sorted(set(statuses)):
        responses[str(status)] = _problem(status)
    operation["responses"] = dict(sorted(responses.items()))


def _problem(status: int) -> dict[str, Any]:
    schema = {"$ref": _REF.format(model=ProblemDocument.__name__)}
    return {"description": HTTPStatus(status).phrase, "content": {problems.MEDIA_TYPE: {"schema": schema}}}


def _job_file_body() -> dict[str, Any]:
    link = {"description": "A job file; its JSON Schema is GET /api/v1/schemas/job.", "type": "object"}
    return {"required": True, "content": {media_type: {"schema": link} for media_type in bodies.JOB_FILE_TYPES}}


def as_text(document: Mapping[str, Any]) -> str:
    """As it is committed."""
    return json.dumps(document, indent=2, sort_keys=True) + "\n"


def main(arguments: list[str] | None = None) -> int:
    """Write docs/openapi.json, or with --check tell by the exit code whether it is current."""
    from leader.app import describe_app  # noqa: PLC0415 - the application imports this module

    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 if the file is out of date")
    check = parser.parse_args(arguments).check
    text = as_text(describe_app())
    if not check:
        DOCUMENT.write_text(text, encoding="utf-8")
        return 0
    if DOCUMENT.exists() and DOCUMENT.read_text(encoding="utf-8") == text:
        return 0
    sys.stderr.write(f"{DOCUMENT} is out of date: run python -m leader.api.openapi\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
