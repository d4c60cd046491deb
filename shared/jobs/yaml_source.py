"""YAML 1.2 -> plain data with places, by way of the parser's events.

Nothing is constructed: an alias is reported where it stands and never expanded, so a bomb costs what its text costs.
"""

import re
from collections.abc import Iterator
from typing import Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, StreamMark, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    NodeEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)
from ruamel.yaml.scanner import Scanner, ScannerError

from shared.errors import InvalidJobFile
from shared.jobs.section import Loc
from shared.jobs.source import ASIDE, MAX_DEPTH, MAX_NODES, Place, Source, number, too_deep, too_many, unreadable

_NOT_PRINTABLE: Final = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_USUAL: Final = re.compile(r"(?ms)(?!.*^(?:---|\.\.\.))(?:[\n A-Za-z0-9_.,:;/()\[\]{}'\"@$=+~<-]++|(?<!\S)#[ -~]*+)*+")
_BASED: Final = re.compile(r"0o[0-7]{1,40}|0x[0-9a-fA-F]{1,40}")
_NUMBER: Final = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]{1,4})?")
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_WORDS: Final[dict[str, Any]] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), float("inf")),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), float("-inf")),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
}
_PLAINER: Final = (
    (re.compile(r"found character '\\t' that cannot start any token"), "a tab cannot indent YAML; use spaces"),
    (re.compile(r"found character '(.)' that cannot start any token"), r"a value cannot start with \1; quote it"),
    (re.compile(r"mapping values are not allowed here"), "a ':' cannot stand here; quote the value or indent the line"),
    (re.compile(r"expected <block end>, but found .*"), "this line is not aligned with the block around it"),
    (re.compile(r"could not find expected ':'"), "a ':' is missing after this key"),
    (re.compile(r"'?<stream end>'?|unexpected end of stream|'\\x00'"), "the end of the file"),
    (re.compile(r"'?<block (end|mapping start)>'?"), "another line"),
)


class _ShallowScanner(Scanner):
    """Refuses deep flow nesting while scanning: the look-ahead for keys is quadratic in the depth."""

    def fetch_flow_collection_start(self, *args: Any, **kwargs: Any) -> Any:
        if self.flow_level > MAX_DEPTH:
            raise ScannerError(None, None, _TOO_DEEP, self.reader.get_mark())
        return super().fetch_flow_collection_start(*args, **kwargs)


_TOO_DEEP: Final = "too deep"


def read_yaml(text: str) -> Source:
    """The one document of ``text``.

    Raises:
        InvalidJobFile: a syntax error, no document, or one that is too deep or too large.
    """
    _refuse_control_characters(text)
    return _read_clean(text) or _read_with_care(text)


def _read_clean(text: str) -> Source | None:
    """By the parser in C, seven times as fast; None where a file is unusual or wrong.

    The two parsers differ in corners that no job file needs, and only the other one's words are for people.
    """
    if not _USUAL.fullmatch(text):
        return None
    composer = _Composer(iter(YAML(typ="safe", pure=False).parse(text)))
    try:
        composer.document()
    except (YAMLError, ValueError, OverflowError, InvalidJobFile):
        return None
    return None if composer.source.problems else composer.source


def _read_with_care(text: str) -> Source:
    composer = _Composer(_events(text))
    try:
        composer.document()
    except MarkedYAMLError as error:
        raise _syntax_error(error) from error
    except (YAMLError, ValueError, OverflowError) as error:  # an escape that is no character, a directive out of range
        raise unreadable("YAML syntax: the document cannot be read", None, found=str(error)[:200]) from error
    return composer.source


def _events(text: str) -> Iterator[Event]:
    loader = YAML(typ="safe", pure=True)
    loader.Scanner = _ShallowScanner
    return iter(loader.parse(text))


def _refuse_control_characters(text: str) -> None:
    if match := _NOT_PRINTABLE.search(text):
        line = text.count("\n", 0, match.start()) + 1
        column = match.start() - text.rfind("\n", 0, match.start())
        raise unreadable(
            "a control character cannot stand in YAML", Place(line, column), found=f"U+{ord(match[0]):04X}"
        )


def _place(mark: StreamMark) -> Place:
    return Place(mark.line + 1, mark.column + 1)


def _syntax_error(error: MarkedYAMLError) -> InvalidJobFile:
    mark = error.problem_mark or error.context_mark
    place = _place(mark) if mark else None
    if error.problem == _TOO_DEEP and place:
        return too_deep(place)
    message = str(error.problem or error.context)
    for pattern, plainer in _PLAINER:
        message = pattern.sub(plainer, message)
    return unreadable(f"YAML syntax: {message}{_context(error)}", place)


def _context(error: MarkedYAMLError) -> str:
    inside = str(error.context).removeprefix("while parsing a ")
    if error.context_mark is None or inside == error.context:
        return ""
    return f" (in the {inside} that starts on line {error.context_mark.line + 1})"


class _Composer:
    """Walks the events of one document once."""

    def __init__(self, events: Iterator[Event]) -> None:
        self.source = Source()
        self._events = events
        self._nodes = 0

    def document(self) -> None:
        for event in self._events:
            if isinstance(event, DocumentStartEvent):
                self.source.data = self._node(next(self._events), ())
                break
        else:
            raise unreadable("the file is empty")
        for event in self._events:
            if isinstance(event, DocumentStartEvent):
                message = "a second document starts here; submit one job file at a time"
                self.source.note(_place(event.start_mark), (), message)
                return

    def _node(self, event: Event, loc: Loc) -> Any:
        place = _place(event.start_mark)
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise too_many(place)
        if len(loc) > MAX_DEPTH:
            raise too_deep(place)
        self.source.values[loc] = place
        self._refuse_features(event, place, loc)
        if isinstance(event, MappingStartEvent):
            return self._mapping(loc)
        if isinstance(event, SequenceStartEvent):
            return self._sequence(loc)
        return self._scalar(event, place, loc) if isinstance(event, ScalarEvent) else None

    def _scalar(self, event: ScalarEvent, place: Place, loc: Loc) -> Any:
        text: str = event.value
        if _SURROGATE.search(text):
            self.source.note(place, loc, "an escape in this text is half a character (a lone surrogate)")
            return text.encode("utf-8", "replace").decode()
        return text if event.style else resolve(text)

    def _refuse_features(self, event: Event, place: Place, loc: Loc) -> None:
        if isinstance(event, AliasEvent):
            self.source.note(place, loc, "YAML aliases are not allowed; write the value out", found=f"*{event.anchor}")
            self.source.unknown.add(loc)
            return
        if not isinstance(event, NodeEvent):
            return
        if event.anchor is not None:
            self.source.note(place, loc, "YAML anchors are not allowed; remove it", found=f"&{event.anchor}")
        tag = getattr(event, "tag", None)
        if tag is not None:
            self.source.note(place, loc, "YAML tags are not allowed; write the value alone", found=str(tag)[:60])
            self.source.unknown.add(loc)

    def _sequence(self, loc: Loc) -> list[Any]:
        items: list[Any] = []
        for event in self._events:
            if isinstance(event, SequenceEndEvent):
                break
            items.append(self._node(event, (*loc, len(items))))
        return items

    def _mapping(self, loc: Loc) -> dict[str, Any]:
        entries: dict[str, Any] = {}
        for event in self._events:
            if isinstance(event, MappingEndEvent):
                break
            key = self._key(event, loc, entries)
            if key is None:  # reported; its value is read, but to the side
                self._node(next(self._events), (*loc, ASIDE))
                continue
            self.source.keys[*loc, key] = _place(event.start_mark)
            entries[key] = self._node(next(self._events), (*loc, key))
        return entries

    def _key(self, event: Event, loc: Loc, entries: dict[str, Any]) -> str | None:
        place = _place(event.start_mark)
        key = self._node(event, (*loc, ASIDE))
        if isinstance(event, AliasEvent):
            return None
        if not isinstance(key, str):
            self.source.note(
                place, loc, "a key has to be text; quote it", found=str(getattr(event, "value", "a collection"))
            )
            return None
        if key in entries:
            first = self.source.keys[*loc, key].line
            self.source.note(place, (*loc, key), f"this key appears twice; it is already on line {first}")
            return None
        return key


def resolve(text: str) -> Any:
    """The value of an unquoted scalar by the core schema of YAML 1.2: ``on``, ``yes`` and ``010`` hold no surprise."""
    if text in _WORDS:
        return _WORDS[text]
    if _NUMBER.fullmatch(text):
        return number(text)
    return int(text, 0) if _BASED.fullmatch(text) else text
