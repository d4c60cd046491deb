"""When does which packet leave a link, or is it lost? One direction as a state machine: no clock, no socket. Pure.

The model is the usual one of link emulators: a queue of bounded length, a transmitter of constant rate, then a delay
line. A packet's delay is drawn from a gamma law of the link's mean and standard deviation, which is never negative and
has the long right tail of real links. Packets never overtake each other: a draw that would is lengthened.
"""

import math
import random
from dataclasses import dataclass
from typing import Final, Literal

from shared.jobs.network import NetworkLink

QUEUE_PACKETS: Final = 1000
"""Length of the queue before the transmitter; the default limit of netem (tc-netem(8))."""
MTU_BYTES: Final = 1500
QUEUE_BYTES: Final = QUEUE_PACKETS * MTU_BYTES

Direction = Literal["up", "down"]

_NS_PER_MS: Final = 1e6
_NEARLY_NORMAL: Final = 100.0
"""Mean over deviation above which the gamma law's skewness, twice the inverse, is nothing, and its sampling slow."""


@dataclass(frozen=True, kw_only=True)
class Shape:
    """A link in the units of the emulator."""

    delay_ns: float = 0.0
    jitter_ns: float = 0.0
    ns_per_byte: float = 0.0  # 0: no limit
    loss: float = 0.0  # probability
    queue_bytes: int = QUEUE_BYTES
    path_ns: int = 0  # what the path takes by itself, which is part of the delay that was asked for


def shape_of(link: NetworkLink, path_ns: int = 0) -> Shape:
    """The link that a job asks for, on a path that takes ``path_ns`` one way by itself."""
    return Shape(
        delay_ns=link.delay_ms * _NS_PER_MS,
        jitter_ns=link.jitter_ms * _NS_PER_MS,
        ns_per_byte=8e3 / link.rate_mbit if link.rate_mbit else 0.0,
        loss=link.loss_pct / 100,
        path_ns=path_ns,
    )


class Shaper:
    """One direction of a link. The same seed and the same packets give the same fates."""

    def __init__(self, shape: Shape, seed: int, direction: Direction = "up") -> None:
        self._shape = shape
        self._draws = random.Random(f"{seed}/{direction}")  # noqa: S311 - the law of a link, not a secret
        self._free_ns = 0.0  # when the transmitter is through with all that it has
        self._last_due_ns = 0

    def admit(self, now_ns: int, size_bytes: int) -> int | None:
        """When a packet that enters now leaves at the far end; None: it is lost, by the queue's bound or by chance.

        A packet of any size is taken while the queue is empty.
        """
        shape = self._shape
        waits_ns = self._free_ns - now_ns
        if waits_ns > 0 and waits_ns + size_bytes * shape.ns_per_byte > shape.queue_bytes * shape.ns_per_byte:
            return None
        if shape.loss and self._draws.random() < shape.loss:
            return None  # as netem's: lost before the queue, so that it takes nothing of the rate
        self._free_ns = max(self._free_ns, float(now_ns)) + size_bytes * shape.ns_per_byte
        delay_ns = max(0.0, self._delay_ns() - shape.path_ns)
        due_ns = max(self._last_due_ns, math.ceil(self._free_ns + delay_ns))
        self._last_due_ns = due_ns
        return due_ns

    def _delay_ns(self) -> float:
        mean_ns, deviation_ns = self._shape.delay_ns, self._shape.jitter_ns
        if min(mean_ns, deviation_ns) < 1:  # below a nanosecond
            return mean_ns
        ratio = mean_ns / deviation_ns
        if ratio > _NEARLY_NORMAL:
            return self._draws.gauss(mean_ns, deviation_ns)
        return self._draws.gammavariate(ratio**2, deviation_ns / ratio)
