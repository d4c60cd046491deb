"""Packets on their way: both directions of a link, each with its shaper and its packets in order. Pure."""

from collections import deque
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from follower.link.shaping import Shape, Shaper

PacketT = TypeVar("PacketT")


@dataclass
class DelayLine(Generic[PacketT]):
    """One direction."""

    shaper: Shaper
    lost: int = 0
    carried: int = 0
    _waiting: deque[tuple[int, PacketT]] = field(default_factory=deque)

    def enter(self, now_ns: int, packet: PacketT, size_bytes: int) -> None:
        """The packet is on its way, or lost."""
        due_ns = self.shaper.admit(now_ns, size_bytes)
        if due_ns is None:
            self.lost += 1
        else:
            self.carried += 1
            self._waiting.append((due_ns, packet))

    @property
    def next_due_ns(self) -> int | None:
        """When the next packet leaves; None if there is none."""
        return self._waiting[0][0] if self._waiting else None

    def leave(self, now_ns: int) -> PacketT | None:
        """The next packet that is due by now."""
        if self._waiting and self._waiting[0][0] <= now_ns:
            return self._waiting.popleft()[1]
        return None


def both_ways(shape: Shape, seed: int) -> tuple[DelayLine[PacketT], DelayLine[PacketT]]:
    """(up, down) of one link."""
    return DelayLine(Shaper(shape, seed, "up")), DelayLine(Shaper(shape, seed, "down"))
