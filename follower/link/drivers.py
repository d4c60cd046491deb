"""What can carry a link here, and what it can carry: a table, read for announcing and for choosing."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from follower.link import netem, tun
from shared.errors import NotAvailable, Problem
from shared.jobs.network import PROFILES, CustomLink, NetworkLink, custom_kind

DriverName = Literal["netem", "tun", "proxy"]


@dataclass(frozen=True)
class Driver:
    """One way to emulate a link."""

    carries: tuple[CustomLink, ...]
    why_not: Callable[[], str | None]  # tried on this host
    unfit: Callable[[NetworkLink], str | None] = lambda _: None  # which links of those kinds it does not carry, and why


DRIVERS: Final[Mapping[DriverName, Driver]] = {
    "tun": Driver(("custom-coarse", "custom"), tun.why_not),
    "netem": Driver(("custom-coarse", "custom", "custom-fast"), netem.why_not, netem.unfit),
    "proxy": Driver(("custom-coarse",), lambda: None),
}
"""Best first: the device draws every delay and loss from the job's seed, which the kernel cannot."""


def networks(table: Mapping[DriverName, Driver] = DRIVERS) -> tuple[str, ...]:
    """What this follower announces: the profiles and the kinds of custom link that a driver of this host carries."""
    carried = {kind for driver in table.values() if driver.why_not() is None for kind in driver.carries}
    profiles = (name for name, link in PROFILES.items() if link is None or custom_kind(link) in carried)
    return (*profiles, *sorted(carried))


def choose(link: NetworkLink, table: Mapping[DriverName, Driver] = DRIVERS) -> DriverName:
    """The best driver for a link.

    Raises:
        NotAvailable: none carries it here; says why of each, and what would be right.
    """
    reasons: list[str] = []
    for name, driver in table.items():
        if (reason := _obstacle(name, driver, link)) is None:
            return name
        reasons.append(f"{name}: {reason}")
    problem = Problem(
        path="network",
        message="no driver of this follower carries this link; " + "; ".join(reasons),
        found=custom_kind(link),
        allowed=", ".join(networks(table)),
    )
    raise NotAvailable(str(problem), problems=[problem])


def _obstacle(name: DriverName, driver: Driver, link: NetworkLink) -> str | None:
    kind = custom_kind(link)
    if kind not in driver.carries:
        return f"carries {', '.join(driver.carries)} and not {kind}" + (_FLOOR if name == "proxy" else "")
    return driver.unfit(link) or driver.why_not()


_FLOOR: Final = (
    " (a delay of 5 ms or more, no loss, at most 200 Mbit/s); run the follower as root with /dev/net/tun,"
    " or choose a slower profile"
)
