"""A job file as plain data with the place of every key and value, whatever notation it was written in."""

import re
from dataclasses import dataclass, field
from typing import Any, Final

from shared.errors import InvalidJobFile, Problem
from shared.jobs.section import Loc, path_of

MAX_DEPTH: Final = 16
"""Deepest nesting; the job file's own deepest key has depth 6."""

MAX_NODES: Final = 4_096
"""Most keys and values together; the largest sweep that may run needs about 1,000."""

_MAX_INTEGER_DIGITS: Final = 40
_INTEGER: Final = re.compile(rf"[-+]?[0-9]{{1,{_MAX_INTEGER_DIGITS}}}")


MAX_NOTATION_PROBLEMS: Final = 10
"""After as many, reading stops: a hostile file must not buy work or screens of text with them."""

ASIDE: Final = "(aside)"
"""The loc step of what is read only to get past it; no path shows it."""


@dataclass(frozen=True)
class Place:
    """Where something stands: 1-based."""

    line: int
    column: int


@dataclass
class Source:
    """What was read. ``problems`` are those of the notation; the data is what can still be checked beside them."""

    data: Any = None
    keys: dict[Loc, Place] = field(default_factory=dict)  # where the key at this loc stands
    values: dict[Loc, Place] = field(default_factory=dict)
    unknown: set[Loc] = field(default_factory=set)  # locs whose value could not be read
    problems: list[Problem] = field(default_factory=list)

    def note(self, place: Place, loc: Loc, message: str, **more: str | None) -> None:
        """Record a problem of the notation.

        Raises:
            InvalidJobFile: there are too many; reading on is pointless.
        """
        path = path_of(tuple(step for step in loc if step != ASIDE))
        self.problems.append(Problem(message=message, path=path, line=place.line, column=place.column, **more))
        if len(self.problems) >= MAX_NOTATION_PROBLEMS:
            stop = Problem(message="too many problems; the rest was not read", line=place.line, column=place.column)
            raise InvalidJobFile(str(self.problems[0]), problems=[*self.problems, stop])

    def place_of(self, loc: Loc, *, key: bool) -> Place | None:
        """Where ``loc`` stands, or else the nearest thing around it. ``key``: its key rather than its value."""
        first, second = (self.keys, self.values) if key else (self.values, self.keys)
        if loc in first or loc in second:
            return first.get(loc) or second[loc]
        while loc and loc not in self.keys and loc not in self.values:
            loc = loc[:-1]
        return self.keys.get(loc) or self.values.get(loc)


def number(text: str) -> int | float:
    """A decimal number. Integers beyond every limit of the job file become floats: converting them exactly is slow."""
    return int(text) if _INTEGER.fullmatch(text) else float(text)


def unreadable(message: str, place: Place | None = None, **more: str | None) -> InvalidJobFile:
    """The error for a document that cannot be read at all."""
    line, column = (place.line, place.column) if place else (None, None)
    problem = Problem(message=message, line=line, column=column, **more)
    return InvalidJobFile(str(problem), problems=[problem])


def too_deep(place: Place) -> InvalidJobFile:
    """The error for nesting that no job file needs."""
    return unreadable(f"nested more than {MAX_DEPTH} levels deep", place)


def too_many(place: Place) -> InvalidJobFile:
    """The error for more content than any job file needs."""
    return unreadable(f"more than {MAX_NODES:,} keys and values; no job needs as many", place)
