"""The link between client and server that a job asks for: profiles by name, or numbers. Pure."""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal, Self

from pydantic import Discriminator, Field, Tag, model_validator

from shared.jobs.section import Contradiction, Section, refuse


class NetworkLink(Section):
    """A link given by its numbers; both directions are alike."""

    delay_ms: float = Field(0.0, ge=0, le=10_000, description="One way.")
    jitter_ms: float = Field(0.0, ge=0, le=10_000, description="Standard deviation of the delay.")
    rate_mbit: float | None = Field(None, gt=0, le=1_000_000, description="Bandwidth; unlimited where absent.")
    loss_pct: float = Field(0.0, ge=0, lt=100, description="Share of lost packets.")

    @model_validator(mode="after")
    def _jitter_needs_a_delay(self) -> Self:
        refuse(self._jitter_alone())
        return self

    def _jitter_alone(self) -> Iterator[Contradiction]:
        if self.jitter_ms and not self.delay_ms:
            yield Contradiction(("jitter_ms",), "a delay of 0 cannot vary without being negative; give delay_ms, too")


NetworkProfile = Literal["none", "lan", "wifi", "lte"]

PROFILES: Final[Mapping[NetworkProfile, NetworkLink | None]] = MappingProxyType(
    {
        "none": None,
        "lan": NetworkLink(delay_ms=0.1, rate_mbit=1000.0),
        "wifi": NetworkLink(delay_ms=4.0, jitter_ms=1.0, rate_mbit=60.0),
        "lte": NetworkLink(delay_ms=35.0, jitter_ms=3.0, rate_mbit=12.0),
    }
)
"""What the named links are.

* ``lan``: Gigabit Ethernet (IEEE 802.3ab) through a switch or two: hosts and switches take some 0.1 ms each way.
* ``wifi``: an access point near by: what TCP gets of a two-stream 802.11n link of 20 MHz (144 Mbit/s at the antenna)
  while others use it too; a choice, and a friendly one: on a busy campus more than half of all packets met a WiFi hop
  of over 20 ms (Pei et al., INFOCOM 2016).
* ``lte``: WebPageTest's profile of that name, 12 Mbit/s each way and 70 ms round trip. The jitter is the spread of
  waiting for the next of the uplink's grants, 10 ms apart: 10 / sqrt(12).

No profile loses packets: wireless links repeat lost frames themselves, which shows as jitter.
"""

CustomLink = Literal["custom", "custom-coarse", "custom-fast"]
"""What shaping a link by its numbers takes: ``custom-coarse`` is within what a user-space proxy can keep, ``custom``
needs packets to be handled one by one, ``custom-fast`` is beyond what our emulator forwards."""

COARSE_DELAY_MS: Final = 5.0
"""A proxy adds up to a millisecond of its own each way, with both sides' wake-ups."""
COARSE_RATE_MBIT: Final = 200.0
FAST_RATE_MBIT: Final = 2000.0


def link_of(network: "NetworkLink | NetworkProfile") -> NetworkLink | None:
    """The numbers of the link that a job names; None for no link."""
    return network if isinstance(network, NetworkLink) else PROFILES[network]


def custom_kind(link: NetworkLink) -> CustomLink:
    """The least that this link takes; whoever can do more can do it too."""
    if link.rate_mbit is not None and link.rate_mbit > FAST_RATE_MBIT:
        return "custom-fast"
    is_slow = link.rate_mbit is None or link.rate_mbit <= COARSE_RATE_MBIT
    return "custom-coarse" if is_slow and link.delay_ms >= COARSE_DELAY_MS and not link.loss_pct else "custom"


def _network_kind(value: Any) -> str:
    return "NetworkLink" if isinstance(value, dict | NetworkLink) else "NetworkProfile"


NetworkSpec = Annotated[
    Annotated[NetworkProfile, Tag("NetworkProfile")] | Annotated[NetworkLink, Tag("NetworkLink")],
    Discriminator(_network_kind),
]
