"""The link of a run as it was asked for and as it was measured before the load, and whether the two agree. Pure."""

import math
from collections.abc import Iterator
from typing import Final

from pydantic import BaseModel, ConfigDict

MOST_OFF: Final = 0.05
MOST_OFF_MS: Final = 0.5
_SURE: Final = 3.0  # standard errors


class LinkReading(BaseModel):
    """One link: its numbers in the job file, then what the idle link did. None: not asked for, or it cannot be told."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    driver: str  # "netem", "tun", "proxy"
    delay_ms: float  # one way, as asked
    jitter_ms: float
    rate_mbit: float | None
    loss_pct: float
    round_trip_ms: float  # measured: mean of small messages, alone on the link
    round_trip_stddev_ms: float
    round_trips: int
    up_mbit: float | None = None  # measured: to the service, with the headers of full packets
    down_mbit: float | None = None


def delay_tolerance_ms(delay_ms: float) -> float:
    """How far the round trip may be off: 5 % of it, or 0.5 ms where that is more."""
    return max(MOST_OFF * 2 * delay_ms, MOST_OFF_MS)


def link_faults(link: LinkReading) -> Iterator[str]:
    """What makes a run on this link invalid.

    Where jitter leaves the mean less certain than the tolerance, three standard errors are the tolerance.
    """
    asked_ms, found_ms = 2 * link.delay_ms, link.round_trip_ms
    error_ms = link.round_trip_stddev_ms / math.sqrt(link.round_trips)
    if abs(found_ms - asked_ms) > max(delay_tolerance_ms(link.delay_ms), _SURE * error_ms):
        yield (
            f"the network link is off: its round trip took {found_ms:.2f} ms and {asked_ms:.2f} ms were asked for;"
            f" {MOST_OFF:.0%} or {MOST_OFF_MS} ms are allowed"
        )
    for way, found in (("to", link.up_mbit), ("from", link.down_mbit)):
        if link.rate_mbit and found is not None and abs(found - link.rate_mbit) > MOST_OFF * link.rate_mbit:
            yield (
                f"the network link is off: it carried {found:.4g} Mbit/s {way} the service and {link.rate_mbit:g} were"
                f" asked for; {MOST_OFF:.0%} are allowed"
            )
