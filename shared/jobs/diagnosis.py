"""What is wrong with a job file's content, from the validator's errors: in the file's words, with what would be right.

Pydantic says where and which rule; the published schema says which keys and values there are; the data says what was
found. The names of the models and of union members appear nowhere.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any, Final

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from shared.errors import Problem
from shared.jobs import schema
from shared.jobs.schema import Node
from shared.jobs.section import Contradiction, Loc, path_of
from shared.jobs.source import Source
from shared.jobs.units import format_duration

_FOUND_LENGTH: Final = 60
_CUTOFF: Final = 0.7
"""Least likeness of a suggestion: catches two wrong letters in ten, and does not take gpu for cpu."""


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong with the content of a job file."""

    loc: Loc
    message: str
    found: str | None = None
    allowed: str | None = None
    suggestion: str | None = None
    at_key: bool = False  # the key is wrong rather than its value


def faults_of(error: ValidationError, data: Any) -> list[Fault]:
    """Every fault that the validator found in ``data``, each once."""
    faults = (fault for details in error.errors(include_url=False) for fault in _diagnose(details, data))
    return list({(fault.loc, fault.message): fault for fault in faults}.values())


def placed(faults: Iterable[Fault], source: Source | None = None) -> list[Problem]:
    """The faults for people, with line and column where the document is at hand."""
    return [_problem(fault, source) for fault in faults]


def contradiction_fault(contradiction: Contradiction, around: Loc = ()) -> Fault:
    """The fault of keys that contradict each other; ``around`` is where the section stands."""
    return Fault((*around, *contradiction.loc), contradiction.message)


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that ``name`` was probably meant to be; case, dashes and underscores do not count."""
    plain = {_plain(candidate): candidate for candidate in known}
    close = get_close_matches(_plain(name)[:_FOUND_LENGTH], plain, n=1, cutoff=_CUTOFF)
    return plain[close[0]] if close else None


def show(value: Any) -> str:
    """A value as it would stand in the file, shortened."""
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    if isinstance(value, dict | list):
        kind, things = ("a mapping", "keys") if isinstance(value, dict) else ("a list", "values")
        return f"{kind} with {len(value)} {things if len(value) != 1 else things[:-1]}"
    text = repr(value)
    return text if len(text) <= _FOUND_LENGTH else f"{text[:_FOUND_LENGTH]}..."


def _plain(name: str) -> str:
    return name.lower().replace("_", "").replace("-", "")


def _problem(fault: Fault, source: Source | None) -> Problem:
    place = source.place_of(fault.loc, key=fault.at_key) if source else None
    return Problem(
        message=fault.message,
        path=path_of(fault.loc),
        line=place.line if place else None,
        column=place.column if place else None,
        found=fault.found,
        allowed=fault.allowed,
        suggestion=fault.suggestion,
    )


@dataclass(frozen=True)
class _Case:
    """One error of the validator, with everything that is known about its place."""

    given: Loc  # with the names of union members
    loc: Loc
    node: Node
    value: Any
    context: Mapping[str, Any]


def _diagnose(details: ErrorDetails, data: Any) -> Iterator[Fault]:
    loc, node = schema.walk(details["loc"])
    context = details.get("ctx", {})
    if details["type"] == "contradiction":
        yield from (contradiction_fault(contradiction, loc) for contradiction in context["contradictions"])
        return
    case = _Case(details["loc"], loc, node, _value_at(data, loc), context)
    one_of_several = "anyOf" in schema.resolved(node)  # each member complains; one answer is enough
    yield (_wrong_value if one_of_several else _BY_TYPE.get(details["type"], _wrong_value))(case)


def _value_at(data: Any, loc: Loc) -> Any:
    for step in loc:
        try:
            data = data[step]
        except (LookupError, TypeError):  # a missing key, or nothing to look into
            return None
    return data


def _missing(case: _Case) -> Fault:
    if isinstance(case.loc[-1], int):
        whole = schema.walk(case.given[:-1])[1]
        return Fault(case.loc[:-1], "has too few values", allowed=schema.allowed(whole))
    return Fault(case.loc, "is required", allowed=schema.allowed(case.node), at_key=True)


def _no_tag(case: _Case) -> Fault:
    key = str(schema.discriminator(case.node))
    return Fault((*case.loc, key), "is required", allowed=", ".join(schema.variants(case.node)), at_key=True)


def _unknown_tag(case: _Case) -> Fault:
    key = str(schema.discriminator(case.node))
    choices = list(schema.variants(case.node))
    return _not_a_choice((*case.loc, key), case.value.get(key), choices, ", ".join(choices))


def _not_a_choice(loc: Loc, value: Any, choices: list[str], allowed: str) -> Fault:
    near = nearest(value, choices) if isinstance(value, str) else None
    return Fault(loc, f"{show(value)} is not known here", show(value), allowed, near)


def _wrong_value(case: _Case) -> Fault:
    node, value, allowed = schema.resolved(case.node), case.value, schema.allowed(case.node)
    choices = schema.choices(node)
    if choices and isinstance(value, str):
        return _not_a_choice(case.loc, value, choices, allowed)
    if value is None:
        return Fault(case.loc, "is empty", show(value), allowed, at_key=True)
    message = f"{show(value)} is not allowed here"
    if node.get("type") in ("integer", "number") and isinstance(value, str) and _NUMBER.fullmatch(value):
        message = f"{show(value)} is text; write the number without quotes"
    return Fault(case.loc, message, show(value), allowed, _meant(node, value))


def _meant(node: Node, value: Any) -> str | None:
    """What a value of the wrong kind was probably meant to be."""
    if node.get("type") == "boolean":
        return _TRUTHS.get(str(value).lower())
    if node.get("type") == "array" and "anyOf" in node.get("items", {}) and not isinstance(value, dict | list):
        return f"[{value}]"
    if not isinstance(value, str):
        return None
    if value in schema.variants(node):
        return f"{{{schema.discriminator(node)}: {value}}}"
    return f"{{name: {value[:_FOUND_LENGTH]}}}" if "name" in schema.keys(node) else None


def _out_of_range(case: _Case) -> Fault:
    allowed = schema.allowed(case.node)
    if isinstance(case.value, str):  # a duration: the schema cannot hold its limits
        limits = [f"{_LIMITS[key]} {format_duration(limit)}" for key, limit in case.context.items() if key in _LIMITS]
        allowed = f"a duration {' and '.join(limits)}"
    return Fault(case.loc, f"{show(case.value)} is out of range", show(case.value), allowed)


def _wrong_length(case: _Case) -> Fault:
    low, high = case.context.get("min_length"), case.context.get("max_length")
    allowed = f"at most {high} values" if high is not None else f"at least {low} value{'s' * (low != 1)}"
    if "prefixItems" in schema.resolved(case.node):
        allowed = schema.allowed(case.node)
    return Fault(case.loc, f"{show(case.value)} has the wrong length", show(case.value), allowed)


def _bad_pattern(case: _Case) -> Fault:
    is_key = case.given[-1] == "[key]"
    value = case.loc[-1] if is_key else case.value
    return Fault(case.loc, f"{show(value)} is not allowed here", show(value), schema.allowed(case.node), at_key=is_key)


def _bad_duration(case: _Case) -> Fault:
    value = case.value
    if value is None:
        return _wrong_value(case)
    number = isinstance(value, int | float) and not isinstance(value, bool)
    message = f"{show(value)} has no unit" if number else f"{show(value)} is not a duration"
    return Fault(case.loc, message, show(value), schema.allowed(case.node), f"{value}s" if number else None)


def _unknown_key(case: _Case) -> Fault:
    name = str(case.loc[-1])
    known = list(schema.keys(schema.walk(case.given[:-1])[1]))
    fault = Fault(case.loc, "unknown key", name, ", ".join(known), at_key=True)
    misplaced = _belongs_to_another_variant(case, name)
    if misplaced:
        return replace(fault, message=misplaced, allowed=None)
    respelt = next((key for key in known if _plain(key) == _plain(name)), None)
    return replace(fault, suggestion=respelt or _elsewhere(name) or nearest(name, known))


def _belongs_to_another_variant(case: _Case, name: str) -> str | None:
    """A key that is right in itself, under a variant that does not have it."""
    choice = schema.walk(case.given[:-2])[1]
    members = schema.variants(choice)
    chosen = str(case.given[-2]) if len(case.given) > 1 else ""
    owners = [tag for tag, member in members.items() if name in schema.keys(member)]
    if chosen not in members or not owners:
        return None
    key = schema.discriminator(choice)
    if key is None:
        return f"cannot stand beside {', '.join(members[chosen]['required'])}"
    return f"does not go with {key} {chosen}, only with {', '.join(owners)}"


def _elsewhere(name: str) -> str | None:
    """The one path of the job file that ends in ``name``: a key that was put into the wrong section."""
    paths = [path for path in schema.key_paths() if _plain(path.rpartition(".")[2]) == _plain(name)]
    return paths[0] if len(paths) == 1 else None


_NUMBER: Final = re.compile(r"[-+]?[0-9]+(\.[0-9]*)?")
_TRUTHS: Final = {"true": "true", "yes": "true", "on": "true", "false": "false", "no": "false", "off": "false"}
_LIMITS: Final = {"gt": "above", "ge": "of at least", "lt": "below", "le": "of at most"}
_BY_TYPE: Final[Mapping[str, Callable[[_Case], Fault]]] = {
    "missing": _missing,
    "extra_forbidden": _unknown_key,
    "union_tag_not_found": _no_tag,
    "union_tag_invalid": _unknown_tag,
    "string_pattern_mismatch": _bad_pattern,
    "value_error": _bad_duration,
    "too_short": _wrong_length,
    "too_long": _wrong_length,
    **dict.fromkeys(("greater_than", "greater_than_equal", "less_than", "less_than_equal"), _out_of_range),
}
"""The validator's error type -> how it is told; any other is a value of the wrong kind."""
