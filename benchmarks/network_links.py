"""Emulated links against what was asked for: round trip and throughput of every profile, by each driver."""

import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from benchmarks.figure import Figure
from follower.link.drivers import DRIVERS
from follower.link.emulator import EmulatorOrder
from follower.link.measure import Responder, measure
from follower.link.run_link import LinkProcess
from shared.jobs.network import PROFILES, NetworkLink, custom_kind
from shared.measure.link import MOST_OFF, LinkReading, delay_tolerance_ms

UNSHAPED_RTT_MS = 0.5


def network_links() -> Iterable[Figure]:
    """Every profile by each driver of this machine that carries it, and the path by itself, as every run measures it.

    All in one process and its emulator, which share the cores with whatever else runs: the round trip includes the
    wake-ups of both ends.
    """
    for name, driver in DRIVERS.items():
        if (reason := driver.why_not()) is not None:
            yield Figure(name=f"link by {name}", measured=None, unit="", low=0, detail=reason)
            continue
        path = _measured(name, NetworkLink())
        yield Figure(name=f"{name}, unshaped: round trip", measured=path.round_trip_ms, unit="ms", high=UNSHAPED_RTT_MS)
        for profile, link in PROFILES.items():
            if link is not None and custom_kind(link) in driver.carries:
                yield from _figures(f"{name}, {profile}", _measured(name, link))


def _figures(name: str, found: LinkReading) -> Iterator[Figure]:
    asked_ms, within_ms = 2 * found.delay_ms, delay_tolerance_ms(found.delay_ms)
    yield Figure(
        name=f"{name}: round trip",
        measured=found.round_trip_ms,
        unit="ms",
        low=asked_ms - within_ms,
        high=asked_ms + within_ms,
        detail=f"{asked_ms:g} asked, over {found.round_trips} messages",
    )
    for way, rate_mbit in (("to", found.up_mbit), ("from", found.down_mbit)):
        if found.rate_mbit is not None:
            yield Figure(
                name=f"{name}: rate {way} the service",
                measured=rate_mbit,
                unit="Mbit/s",
                low=found.rate_mbit * (1 - MOST_OFF),
                high=found.rate_mbit * (1 + MOST_OFF),
            )


def _measured(driver: str, link: NetworkLink) -> LinkReading:
    with tempfile.TemporaryDirectory() as folder, Responder() as responder:
        order = EmulatorOrder(driver=driver, link=link, seed=1, targets=(("127.0.0.1", responder.port),))
        process = LinkProcess(order, (), Path(folder) / "link.log")
        try:
            return measure(link, driver, process.reached_at[0])
        finally:
            process.close()
