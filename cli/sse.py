"""Server-sent events: lines in, events out. The format is WHATWG HTML, section 9.2."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class ServerSentEvent:
    """One event. ``id`` is the last one seen on the stream, as the standard has it."""

    id: str
    event: str
    data: str


def parse_events(lines: Iterable[str], last_id: str = "") -> Iterator[ServerSentEvent]:
    """Events as their closing blank line arrives; an event that the end of the stream cuts off is dropped.

    ``lines`` come without their line ends. Comments (the server's signs of life) yield nothing.
    """
    name, data = "", list[str]()
    for line in lines:
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if not line:
            if data:
                yield ServerSentEvent(last_id, name or "message", "\n".join(data))
            name, data = "", []
        elif field == "data":
            data.append(value)
        elif field == "event":
            name = value
        elif field == "id" and "\0" not in value:
            last_id = value
