"""JSON -> plain data with places. Not by way of YAML: JSON's tabs, long keys and escapes are not YAML's."""

import re
from bisect import bisect_right
from collections.abc import Callable
from json import JSONDecodeError, JSONDecoder
from typing import Any, Final

from shared.jobs.section import Loc
from shared.jobs.source import ASIDE, MAX_DEPTH, MAX_NODES, Place, Source, number, too_deep, too_many, unreadable

_SPACE: Final = re.compile(r"[ \t\n\r]*")
_NUMBER: Final = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?")
_WORDS: Final[dict[str, Any]] = {"true": True, "false": False, "null": None}
_WORD: Final = re.compile("|".join(_WORDS))
_STRINGS: Final = JSONDecoder()
_SURROGATE: Final = re.compile("[\ud800-\udfff]")


def read_json(text: str) -> Source:
    """The one value of ``text``.

    Raises:
        InvalidJobFile: a syntax error, or a document that is too deep or too large.
    """
    return _Reader(text).document()


class _Reader:
    """A recursive descent over the text; every method returns with ``_at`` behind what it read."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._nodes = 0
        self._lines = [0, *(match.end() for match in re.finditer("\n", text))]
        self.source = Source()

    def document(self) -> Source:
        self._skip_space()
        self.source.data = self._node(())
        if self._at < len(self._text):
            raise unreadable("JSON syntax: nothing may follow the value", self._place(self._at))
        return self.source

    def _place(self, offset: int) -> Place:
        line = bisect_right(self._lines, offset)
        return Place(line, offset - self._lines[line - 1] + 1)

    def _skip_space(self) -> None:
        match = _SPACE.match(self._text, self._at)
        self._at = match.end() if match else self._at

    def _node(self, loc: Loc) -> Any:
        place = self._place(self._at)
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise too_many(place)
        if len(loc) > MAX_DEPTH:
            raise too_deep(place)
        self.source.values[loc] = place
        value = self._value(loc)
        self._skip_space()
        return value

    def _value(self, loc: Loc) -> Any:
        readers: dict[str, Callable[[Loc], Any]] = {"{": self._object, "[": self._array, '"': self._string}
        reader = readers.get(self._text[self._at : self._at + 1])
        return reader(loc) if reader else self._word_or_number()

    def _word_or_number(self) -> Any:
        if match := _WORD.match(self._text, self._at):
            self._at = match.end()
            return _WORDS[match[0]]
        if match := _NUMBER.match(self._text, self._at):
            self._at = match.end()
            return number(match[0])
        raise self._expected("a value")

    def _string(self, loc: Loc) -> str:
        start = self._at
        try:
            decoded, self._at = _STRINGS.raw_decode(self._text, start)
        except JSONDecodeError as error:
            raise unreadable(f"JSON syntax: {error.msg}", self._place(error.pos)) from error
        value = str(decoded)
        if _SURROGATE.search(value):
            message = "an escape in this text is half a character (a lone surrogate)"
            self.source.note(self._place(start), loc, message)
            return value.encode("utf-8", "replace").decode()
        return value

    def _array(self, loc: Loc) -> list[Any]:
        items: list[Any] = []
        self._items("]", lambda: items.append(self._node((*loc, len(items)))))
        return items

    def _object(self, loc: Loc) -> dict[str, Any]:
        entries: dict[str, Any] = {}
        self._items("}", lambda: self._entry(loc, entries))
        return entries

    def _items(self, end: str, read_one: Callable[[], None]) -> None:
        """The inside of a bracket: entries with commas between them, then ``end``."""
        self._at += 1
        self._skip_space()
        if self._take(end):
            return
        read_one()
        while not self._take(end):
            if not self._take(","):
                raise self._expected(f"',' or '{end}'")
            self._skip_space()
            read_one()

    def _entry(self, loc: Loc, entries: dict[str, Any]) -> None:
        place = self._place(self._at)
        if self._text[self._at : self._at + 1] != '"':
            raise self._expected("a key in double quotes")
        key = self._string(loc)
        self._skip_space()
        if not self._take(":"):
            raise self._expected("':'")
        self._skip_space()
        if key in entries:
            first = self.source.keys[*loc, key].line
            self.source.note(place, (*loc, key), f"this key appears twice; it is already on line {first}")
            self._node((*loc, ASIDE))
            return
        self.source.keys[*loc, key] = place
        entries[key] = self._node((*loc, key))

    def _take(self, character: str) -> bool:
        taken = self._text.startswith(character, self._at)
        self._at += taken
        return taken

    def _expected(self, what: str) -> Exception:
        found = repr(self._text[self._at]) if self._at < len(self._text) else "the end of the file"
        return unreadable(f"JSON syntax: expected {what}, found {found}", self._place(self._at))
