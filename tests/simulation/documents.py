"""What MongoDB's filters, updates and pipelines mean, for the few that the stores use. Anything else is refused loudly.

Nothing here matches an array by its elements: the stores never ask for that.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

Document = dict[str, Any]
Predicate = Callable[[Document], bool]

_MISSING: Final = object()
_STATUS_DEPTH: Final = 2


class NotUnderstood(Exception):
    """The stores began to use something that the stand-in does not know: teach it, and its contract."""


def copied(value: Any) -> Any:
    """The value, so that changing one does not change the other."""
    if type(value) is dict:
        return {name: copied(inner) if type(inner) in _HOLDERS else inner for name, inner in value.items()}
    return [copied(inner) for inner in value] if type(value) is list else value


_HOLDERS: Final = frozenset({dict, list})


def found_at(document: Document, path: str) -> Any:
    """The value at a dotted path, or ``_MISSING``."""
    if "." not in path:
        return document.get(path, _MISSING)
    value: Any = document
    for name in _names(path):
        if type(value) is not dict:
            return _MISSING
        value = value.get(name, _MISSING)
    return value


@lru_cache(maxsize=1024)
def _names(path: str) -> tuple[str, ...]:
    return tuple(path.split("."))


def matching(where: Mapping[str, Any]) -> Predicate:
    """Whether a document fits the filter."""
    return _all([_test(path, wanted) for path, wanted in where.items()])


def _all(tests: Sequence[Predicate]) -> Predicate:
    if len(tests) == 1:
        return tests[0]

    def fits(document: Document) -> bool:
        for test in tests:  # noqa: SIM110 - all() of a generator takes twice as long
            if not test(document):
                return False
        return True

    return fits


def _test(path: str, wanted: Any) -> Predicate:
    if path in _JOINS:
        return _JOINS[path]([matching(one) for one in wanted])
    if path.startswith("$"):
        raise NotUnderstood(f"filter {path!r}")
    if isinstance(wanted, dict) and any(name.startswith("$") for name in wanted):
        return _all([_compared(path, name, operand) for name, operand in wanted.items()])
    if wanted is None:
        return lambda document: found_at(document, path) in (None, _MISSING)
    names = _names(path)
    if len(names) == 1:
        return lambda document: bool(document.get(path, _MISSING) == wanted)
    if len(names) == _STATUS_DEPTH:  # the most frequent question of all: the state in a run's status
        outer, inner = names
        return lambda document: type(found := document.get(outer)) is dict and bool(found.get(inner) == wanted)
    return lambda document: bool(found_at(document, path) == wanted)


_JOINS: Final[Mapping[str, Callable[[list[Predicate]], Predicate]]] = {
    "$or": lambda tests: lambda document: any(test(document) for test in tests),
    "$and": lambda tests: lambda document: all(test(document) for test in tests),
}


def _compared(path: str, operator: str, operand: Any) -> Predicate:
    if operator not in _COMPARISONS:
        raise NotUnderstood(f"comparison {operator!r}")
    compare = _COMPARISONS[operator]
    return lambda document: compare(found_at(document, path), operand)


def _ordered(compare: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    """Values are comparable within their kind only: a missing field is neither below nor above anything."""
    return lambda value, operand: _rank(value) == _rank(operand) and bool(compare(value, operand))


def _is(value: Any, operand: Any) -> bool:
    return value in (None, _MISSING) if operand is None else bool(value == operand)


_COMPARISONS: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "$eq": _is,
    "$ne": lambda value, operand: not _is(value, operand),
    "$in": lambda value, operands: any(_is(value, operand) for operand in operands),
    "$nin": lambda value, operands: not any(_is(value, operand) for operand in operands),
    "$size": lambda value, count: isinstance(value, list) and len(value) == count,
    "$exists": lambda value, wanted: (value is not _MISSING) == bool(wanted),
    "$lt": _ordered(lambda value, operand: value < operand),
    "$lte": _ordered(lambda value, operand: value <= operand),
    "$gt": _ordered(lambda value, operand: value > operand),
    "$gte": _ordered(lambda value, operand: value >= operand),
    "$regex": lambda value, pattern: isinstance(value, str) and re.search(pattern, value) is not None,
}


def _rank(value: Any) -> int:
    """The order of kinds of values: nothing, numbers, strings, the rest."""
    if value is None or value is _MISSING:
        return 0
    if isinstance(value, bool):
        return 4
    return 1 if isinstance(value, int | float) else 2 if isinstance(value, str) else 3


def order_of(value: Any) -> tuple[int, Any]:
    """A key to sort by."""
    if type(value) is str:
        return (2, value)
    rank = _rank(value)
    return (rank, value if rank in (1, 2, 4) else 0)


def is_up(direction: int) -> bool:
    """Ascending."""
    return direction > 0


def ordered(documents: Sequence[Document], sort: Mapping[str, int]) -> list[Document]:
    """Sorted by several fields, the first one counting most."""
    found = list(documents)
    if len(found) < 2:
        return found
    for path, direction in reversed(list(sort.items())):
        found.sort(key=lambda document: order_of(found_at(document, path)), reverse=not is_up(direction))
    return found


# ------------------------------------------------------------------------------------------------------- updates


def updated(document: Document, update: Mapping[str, Any], *, inserting: bool = False) -> Document:
    """A copy of the document after the update."""
    changed: Document = copied(document)
    for operator, fields in update.items():
        if operator == "$setOnInsert" and not inserting:
            continue
        if operator not in _CHANGES:
            raise NotUnderstood(f"update {operator!r}")
        for path, operand in fields.items():
            _change(changed, path, operand, _CHANGES[operator])
    return changed


def _change(document: Document, path: str, operand: Any, change: Callable[[Any, Any], Any]) -> None:
    *parents, name = path.split(".")
    for parent in parents:
        document = document.setdefault(parent, {})
    value = change(document.get(name, _MISSING), operand)
    if value is _MISSING:
        document.pop(name, None)
    else:
        document[name] = value


def _larger(value: Any, operand: Any) -> Any:
    return operand if value is _MISSING or order_of(operand) > order_of(value) else value


_CHANGES: Final[Mapping[str, Callable[[Any, Any], Any]]] = {
    "$set": lambda _value, operand: copied(operand),
    "$setOnInsert": lambda _value, operand: copied(operand),
    "$unset": lambda _value, _operand: _MISSING,
    "$inc": lambda value, operand: operand if value is _MISSING else value + operand,
    "$max": _larger,
    "$push": lambda value, operand: [*([] if value is _MISSING else value), copied(operand)],
    "$addToSet": lambda value, operand: [
        *(held := [] if value is _MISSING else value), *([] if operand in held else [copied(operand)])
    ],
    "$pull": lambda value, operand: [] if value is _MISSING else [one for one in value if one != operand],
}  # fmt: skip


def fresh(where: Mapping[str, Any], update: Mapping[str, Any]) -> Document:
    """What an upsert inserts: what the filter fixes, then the update."""
    fixed = {path: value for path, value in where.items() if not path.startswith("$") and type(value) is not dict}
    return updated(updated({}, {"$set": fixed}), update, inserting=True)


# ----------------------------------------------------------------------------------------------------- pipelines


def piped(documents: Sequence[Document], pipeline: Sequence[Mapping[str, Any]]) -> list[Document]:
    """What an aggregation answers, copied."""
    found = list(documents)
    for stage in pipeline if found else ():
        ((name, operand),) = stage.items()
        if name not in _STAGES:
            raise NotUnderstood(f"stage {name!r}")
        found = _STAGES[name](found, operand)
    return found if pipeline and "$project" in pipeline[-1] else [copied(document) for document in found]


def _match(documents: list[Document], where: Mapping[str, Any]) -> list[Document]:
    return list(filter(matching(where), documents))


def _project(documents: list[Document], fields: Mapping[str, Any]) -> list[Document]:
    for name, value in fields.items():
        if value != 1 or "." in name:  # the embedded server would look through the whole collection
            raise NotUnderstood(f"projection of {name!r} to {value!r}")
    names = ("_id", *fields)
    return [{name: copied(document[name]) for name in names if name in document} for document in documents]


def _group(documents: list[Document], spec: Mapping[str, Any]) -> list[Document]:
    groups: dict[Any, Document] = {}
    for document in documents:
        key = spec["_id"] and _value_of(document, spec["_id"])
        group = groups.setdefault(key, {"_id": key, **{name: 0 for name in spec if name != "_id"}})
        for name, summed in spec.items():
            if name != "_id":
                group[name] += _summand(document, summed)
    return list(groups.values())


def _summand(document: Document, summed: Any) -> Any:
    if not isinstance(summed, dict) or summed.keys() != {"$sum"}:
        raise NotUnderstood(f"accumulator {summed!r}")
    return _value_of(document, summed["$sum"])


def _value_of(document: Document, expression: Any) -> Any:
    if isinstance(expression, str) and expression.startswith("$"):
        value = found_at(document, expression[1:])
        return None if value is _MISSING else value
    return expression


_STAGES: Final[Mapping[str, Callable[[list[Document], Any], list[Document]]]] = {
    "$match": _match,
    "$sort": ordered,
    "$limit": lambda documents, most: documents[:most],
    "$skip": lambda documents, most: documents[most:],
    "$project": _project,
    "$group": _group,
}
