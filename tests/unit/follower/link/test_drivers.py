"""Which driver carries which link, and what a follower announces."""

import pytest
from support.assignments import run_spec

from follower.link.drivers import DRIVERS, Driver, DriverName, choose, networks
from shared.errors import NotAvailable
from shared.jobs.network import PROFILES, NetworkLink
from shared.scheduling.needs import needs_of

WITHOUT_ROOT: dict[DriverName, Driver] = {
    "tun": Driver(("custom-coarse", "custom"), lambda: "it takes root"),
    "proxy": DRIVERS["proxy"],
}
WITH_ROOT: dict[DriverName, Driver] = {
    "tun": Driver(("custom-coarse", "custom"), lambda: None),
    "proxy": DRIVERS["proxy"],
}
LAN, LTE = PROFILES["lan"], PROFILES["lte"]


def test_a_follower_with_a_device_announces_every_profile_and_links_by_their_numbers() -> None:
    """None of them needs more than one packet at a time at up to 2 Gbit/s."""
    assert networks(WITH_ROOT) == ("none", "lan", "wifi", "lte", "custom", "custom-coarse")


def test_a_follower_without_root_announces_what_a_proxy_can_keep() -> None:
    """LAN and WiFi have delays below a proxy's floor."""
    assert networks(WITHOUT_ROOT) == ("none", "lte", "custom-coarse")


def test_the_device_is_preferred_where_it_is_to_be_had() -> None:
    """A proxy stands in for it."""
    assert LTE is not None
    assert choose(LTE, WITH_ROOT) == "tun"
    assert choose(LTE, WITHOUT_ROOT) == "proxy"


@pytest.mark.parametrize("link", [LAN, PROFILES["wifi"], NetworkLink(delay_ms=50, loss_pct=1)])
def test_a_link_that_needs_root_is_refused_without_it_and_told_what_would_be_right(link: NetworkLink) -> None:
    """Root, or a slower profile."""
    with pytest.raises(NotAvailable) as caught:
        choose(link, WITHOUT_ROOT)
    assert "it takes root" in caught.value.detail
    assert "slower profile" in caught.value.detail
    assert caught.value.problems[0].path == "network"
    assert "lte" in str(caught.value.problems[0].allowed)


def test_what_a_custom_link_needs_follows_from_its_numbers() -> None:
    """So a follower that has only the proxy is never dealt a link below its floor."""

    def need(**link: float) -> str:
        return dict(needs_of(run_spec(network=link)))["network"]

    assert need(delay_ms=5, rate_mbit=200) == "custom-coarse"
    assert need(delay_ms=4.9, rate_mbit=200) == "custom"
    assert need(delay_ms=5, rate_mbit=201) == "custom"
    assert need(delay_ms=5, loss_pct=0.1) == "custom"
    assert need(rate_mbit=2000) == "custom"
    assert need(rate_mbit=2001) == "custom-fast"


def test_every_profile_is_what_its_numbers_say() -> None:
    """A custom link with a profile's numbers is carried by whoever carries the profile."""
    for table in (WITH_ROOT, WITHOUT_ROOT):
        announced = networks(table)
        for name, link in PROFILES.items():
            if link is not None:
                assert (name in announced) == (
                    dict(needs_of(run_spec(network=link.model_dump())))["network"] in announced
                )


def test_this_hosts_own_announcement_covers_its_own_choice() -> None:
    """What is announced here is what is chosen here."""
    assert LTE is not None
    assert "lte" in networks()
    assert choose(LTE) in DRIVERS
