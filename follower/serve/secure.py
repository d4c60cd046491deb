"""What keeps a conversation with a service private: who it has to be, and what it is told that nobody else may know."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

_SHORTEST_PART: Final = 8
"""Parts of a value that are shorter, such as "Bearer", are ordinary words and are left standing."""

HIDDEN: Final = "[secret]"


@dataclass(frozen=True, kw_only=True)
class Tls:
    """A service behind TLS: its certificate has to be for ``server_name`` and from an authority that is trusted."""

    server_name: str  # a name or an address
    ca_file: Path | None = None  # beside the system's authorities, PEM


@dataclass(frozen=True, kw_only=True)
class SecretHeader:
    """A header with a value that appears nowhere but in requests."""

    name: str
    value: str = field(repr=False)

    @property
    def line(self) -> str:
        """As HTTP/1.1 has it, with its line end."""
        return f"{self.name}: {self.value}\r\n"

    def hidden_in(self, text: str) -> str:
        """The text without the value, and without the parts of it that stand between spaces."""
        for part in self._parts():
            text = text.replace(part, HIDDEN)
        return text

    def is_in(self, data: bytes) -> bool:
        """Whether bytes that came back repeat it."""
        return any(part.encode() in data for part in self._parts())

    def _parts(self) -> Iterator[str]:
        yield self.value
        yield from (part for part in re.split(r"[\s,;=\"]+", self.value) if len(part) >= _SHORTEST_PART)
