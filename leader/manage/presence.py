"""Whether other leaders are at work: a leader that is alone need not read what it accepted itself.

Each leader counts its beats in a document of its own. Another one is at work whose count changed a moment ago, by the
clock of the one that looks: no two clocks are compared.
"""

import secrets
from collections.abc import Mapping
from typing import Final, NamedTuple

from leader.perfdb.protocol import LeaderStore
from shared.clock import Clock

BEAT_NS: Final = 5_000_000_000
GONE_NS: Final = 3 * BEAT_NS
FORGOTTEN_NS: Final = 3_600_000_000_000
"""The mark of a leader that stopped so long ago is removed by whoever saw it stand still."""

_NAME_BYTES: Final = 8


class _Seen(NamedTuple):
    beats: int
    changed_ns: int


class Company:
    """What one leader has seen of the others' marks; times are its own monotonic clock's. Pure."""

    def __init__(self) -> None:
        self._seen: dict[str, _Seen] = {}

    def look(self, beats: Mapping[str, int], now_ns: int) -> None:
        """The others' marks as they stand now. One that is new may have been set at any time: it counts as a beat."""
        kept = {name: self._seen.get(name) for name in beats}
        self._seen = {
            name: seen if seen is not None and seen.beats == beats[name] else _Seen(beats[name], now_ns)
            for name, seen in kept.items()
        }

    def is_any(self, now_ns: int) -> bool:
        """Whether another leader may be at work."""
        return any(now_ns - seen.changed_ns <= GONE_NS for seen in self._seen.values())

    def forgotten(self, now_ns: int) -> list[str]:
        """Leaders whose marks nobody needs any more."""
        return [name for name, seen in self._seen.items() if now_ns - seen.changed_ns > FORGOTTEN_NS]


class Presence:
    """This leader's mark, and a look at the others'."""

    def __init__(self, leaders: LeaderStore, clock: Clock) -> None:
        self._leaders = leaders
        self._clock = clock
        self._name = secrets.token_hex(_NAME_BYTES)
        self._beats = 0
        self._next_beat_ns: int | None = None
        self._company = Company()

    async def beat(self) -> None:
        """Show that this leader is at work: before it accepts anything, and every few seconds. Raises Unavailable."""
        now_ns = self._clock.monotonic_ns()
        if self._next_beat_ns is None or now_ns >= self._next_beat_ns:
            self._beats += 1
            await self._leaders.put(self._name, self._beats)
            self._next_beat_ns = now_ns + BEAT_NS

    async def is_alone(self) -> bool:
        """Whether nobody else has accepted anything up to the moment of the call. Raises Unavailable."""
        await self.beat()
        marks = await self._leaders.all()
        now_ns = self._clock.monotonic_ns()
        self._company.look({name: beats for name, beats in marks.items() if name != self._name}, now_ns)
        for name in self._company.forgotten(now_ns):
            await self._leaders.remove(name)
        return not self._company.is_any(now_ns)
