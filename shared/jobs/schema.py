"""The job file's JSON Schema, and what can be read off it: which keys stand where, and what each may hold.

Error messages, sweep paths and the reference page all come from the one published schema, so they cannot disagree.
"""

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, Final

from shared.jobs.endpoint_api import (
    HEADER_NAME_PATTERN,
    HEADER_VALUE_PATTERN,
    POINTER_PATTERN,
    SECRET_NAME_PATTERN,
    URL_PATH_PATTERN,
)
from shared.jobs.pipeline import INPUT_NAME_PATTERN
from shared.jobs.section import Loc
from shared.jobs.spec import LABEL_PATTERN, MAX_SEED, NAME_PATTERN, URL_PATTERN, JobSpec, RunSpec
from shared.jobs.units import DURATION_PATTERN, format_duration

SCHEMA_ID: Final = "urn:inferbench:schema:job:v1"
DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"

Node = Mapping[str, Any]
"""A subschema, with references and nullability resolved."""

_PATTERNS: Final = {
    NAME_PATTERN: "a name: lower-case letters and digits, with . _ - between them, at most 64 characters",
    LABEL_PATTERN: "letters and digits, with _ - between them, at most 63 characters",
    URL_PATTERN: "an http:// or https:// address",
    URL_PATH_PATTERN: "a path that begins with /, without spaces and #",
    HEADER_NAME_PATTERN: "a header's name: letters and digits, with _ - between them",
    HEADER_VALUE_PATTERN: "a header's value, in printable ASCII",
    SECRET_NAME_PATTERN: "a secret's name: lower-case letters and digits, with _ - between them",
    INPUT_NAME_PATTERN: "a name in printable ASCII, without spaces",
    POINTER_PATTERN: "a JSON pointer such as /scores or /outputs/0; empty for the whole answer",
    DURATION_PATTERN: "a duration with a unit, such as 200ms, 5s or 2m",
}
_ORDER: Final = (
    "apiVersion", "kind", "name", "team", "priority", "deadline", "reuse", *RunSpec.model_fields, "repeats", "sweep",
)  # fmt: skip
"""The keys of a job file as people write them, from top to bottom."""

_TYPES: Final = {
    "boolean": "true or false",
    "integer": "an integer",
    "number": "a number",
    "string": "text",
    "array": "a list",
    "object": "a mapping",
}


@cache
def _schema() -> dict[str, Any]:
    schema: dict[str, Any] = _with_spelt_durations(JobSpec.model_json_schema(mode="validation"))
    return {
        "$schema": DIALECT,
        "$id": SCHEMA_ID,
        **schema,
        "title": "InferBench job",
        "description": "A benchmark job: what to serve, how, under which load, and which variations of it.",
        "properties": {name: schema["properties"][name] for name in _ORDER},
    }


def _with_spelt_durations(node: Any) -> Any:
    """Defaults of durations as a file would have them, not as the code keeps them."""
    if isinstance(node, list):
        return [_with_spelt_durations(inner) for inner in node]
    if not isinstance(node, dict):
        return node
    copy = {key: _with_spelt_durations(inner) for key, inner in node.items()}
    if copy.get("pattern") == DURATION_PATTERN and isinstance(copy.get("default"), int):
        copy["default"] = format_duration(copy["default"])
    return copy


def job_json_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of a job file; the caller's own copy."""
    return dict(_schema())


def root() -> Node:
    """The whole job file."""
    return _schema()


def resolved(node: Node) -> Node:
    """``node`` without reference and without "or null"."""
    if "$ref" in node:
        target: Node = _schema()["$defs"][node["$ref"].rpartition("/")[2]]
        return target
    options = [option for option in node.get("anyOf", ()) if option != {"type": "null"}]
    return resolved(options[0]) if len(options) == 1 else node


def variants(node: Node) -> dict[str, Node]:
    """The alternatives of a choice by tag; empty where there is no choice."""
    node = resolved(node)
    mapping: Mapping[str, str] = node.get("discriminator", {}).get("mapping", {})
    if mapping:
        return {tag: resolved({"$ref": ref}) for tag, ref in mapping.items()}
    return {option.get("$ref", "/profile").rpartition("/")[2]: resolved(option) for option in node.get("oneOf", ())}


def keys(node: Node) -> dict[str, Node]:
    """The keys of a section, with what each holds as it stands in the schema."""
    properties: dict[str, Node] = resolved(node).get("properties", {})
    return properties


def discriminator(node: Node) -> str | None:
    """The key whose value chooses the variant."""
    name: str | None = resolved(node).get("discriminator", {}).get("propertyName")
    return name


def choices(node: Node) -> list[str]:
    """The values that are allowed, where they can be listed."""
    node = resolved(node)
    if "const" in node:
        return [str(node["const"])]
    parts = [*node.get("anyOf", ()), *node.get("oneOf", ())]
    return [str(v) for v in node.get("enum", ())] + [v for part in parts for v in _inline_choices(part)]


def _inline_choices(node: Node) -> list[str]:
    return [] if "$ref" in node else choices(node)


def allowed(node: Node) -> str:
    """What a value may be, in words: ``an integer, from 1 to 4096``."""
    node = resolved(node)
    if chosen_by := discriminator(node):
        return f"a mapping with {chosen_by}: {', '.join(variants(node))}"
    options = node.get("anyOf") or node.get("oneOf")
    if options:
        return " or ".join(dict.fromkeys(allowed(option) for option in options))
    if found := choices(node):
        return ", ".join(found)
    if "items" in node or "prefixItems" in node:
        return _allowed_list(node)
    if "properties" in node:
        return "a mapping with the keys " + ", ".join(node["properties"])
    kind = _PATTERNS.get(node.get("pattern", "")) or _TYPES.get(node.get("type", ""), "any value")
    return f"{kind}{_limits(node)}"


def _allowed_list(node: Node) -> str:
    if exact := node.get("prefixItems"):
        return f"a list of {len(exact)} values, each {allowed(exact[0])}"
    return f"a list, each entry {allowed(node['items'])}"


def _limits(node: Node) -> str:
    low, high = node.get("minimum"), node.get("maximum")
    high = "2^63 - 1" if high == MAX_SEED else high
    above, below = node.get("exclusiveMinimum"), node.get("exclusiveMaximum")
    parts = [
        *([f"above {above}"] if above is not None else []),
        *([f"from {low} to {high}"] if low is not None and high is not None else []),
        *([f"at least {low}"] if low is not None and high is None else []),
        *([f"at most {high}"] if high is not None and low is None else []),
        *([f"below {below}"] if below is not None else []),
    ]
    return f", {' and '.join(parts)}" if parts else ""


def child(node: Node, step: str | int) -> Node:
    """What stands under a key or index; an empty schema where the job file knows nothing of it."""
    node = resolved(node)
    if isinstance(step, int):
        items: list[Node] = node.get("prefixItems", [])
        found: Node = items[step] if step < len(items) else node.get("items", {})
        return found
    free: list[Node] = [*node.get("patternProperties", {}).values(), node.get("additionalProperties") or {}]
    inner: Node = node.get("properties", {}).get(step) or free[0]
    return inner


def walk(loc: Loc) -> tuple[Loc, Node]:
    """A validator's loc without the names of union members in it, and the schema of what it points at."""
    node, path = root(), list[str | int]()
    for step in loc:
        members = variants(node)
        if members:
            node = members.get(str(step), node)
        elif "anyOf" in resolved(node) or step == "[key]":
            break
        else:
            path.append(step)
            node = child(node, step)
    return tuple(path), node


@cache
def key_paths() -> Mapping[str, Node]:
    """Every dotted path of a run -> its schema, over all variants; the ops of a list are not among them."""
    sections = root()["properties"]
    return {path: node for name in RunSpec.model_fields for path, node in _below(sections[name], name)}


@cache
def value_paths() -> tuple[str, ...]:
    """The dotted paths that can hold one plain value: what a sweep may vary."""
    return tuple(path for path, node in key_paths().items() if _is_plain(node))


def _below(node: Node, path: str) -> Iterator[tuple[str, Node]]:
    yield path, node
    for section in (resolved(node), *variants(node).values()):
        for name, inner in keys(section).items():
            yield from _below(inner, f"{path}.{name}")


def _is_plain(node: Node) -> bool:
    options = variants(node).values() or [resolved(node)]
    return any(not keys(option) and option.get("type") not in ("array", "object") for option in options)
