"""Whether a measured link is the one that was asked for."""

from typing import Any

import pytest

from shared.measure.link import LinkReading, link_faults


def reading(**found: Any) -> LinkReading:
    """A link of 10 ms and 20 Mbit/s that is as asked, unless told otherwise."""
    asked: dict[str, Any] = {"driver": "tun", "delay_ms": 10.0, "jitter_ms": 0.0, "rate_mbit": 20.0, "loss_pct": 0.0}
    measured = {
        "round_trip_ms": 20.0,
        "round_trip_stddev_ms": 0.1,
        "round_trips": 20,
        "up_mbit": 20.0,
        "down_mbit": 20.0,
    }
    return LinkReading.model_validate({**asked, **measured, **found})


@pytest.mark.parametrize(
    "found",
    [
        {},
        {"round_trip_ms": 20.99},
        {"round_trip_ms": 19.01},
        {"up_mbit": 19.01, "down_mbit": 20.99},
        {"up_mbit": None, "down_mbit": None},
        {"rate_mbit": None, "up_mbit": None, "down_mbit": None},
        {"delay_ms": 0.1, "round_trip_ms": 0.69},  # half a millisecond, where that is more than 5 %
    ],
)
def test_a_link_within_five_percent_or_half_a_millisecond_is_as_asked(found: dict[str, Any]) -> None:
    """Nothing is said."""
    assert list(link_faults(reading(**found))) == []


@pytest.mark.parametrize(
    ("found", "says"),
    [
        ({"round_trip_ms": 21.1}, "round trip took 21.10 ms and 20.00 ms were asked for"),
        ({"round_trip_ms": 18.9}, "round trip took 18.90 ms"),
        ({"delay_ms": 0.1, "round_trip_ms": 0.8}, "0.5 ms are allowed"),
        ({"up_mbit": 18.9}, "18.9 Mbit/s to the service and 20 were asked for"),
        ({"down_mbit": 21.1}, "21.1 Mbit/s from the service"),
    ],
)
def test_a_link_that_is_off_is_a_reason_that_gives_both_figures(found: dict[str, Any], says: str) -> None:
    """One reason, for a person."""
    (reason,) = link_faults(reading(**found))
    assert says in reason


def test_jitter_that_leaves_the_mean_uncertain_is_allowed_for() -> None:
    """Twenty messages with 10 ms of deviation know the mean to 2.2 ms; three of those are allowed."""
    assert list(link_faults(reading(round_trip_ms=26.0, round_trip_stddev_ms=10.0))) == []
    assert list(link_faults(reading(round_trip_ms=27.0, round_trip_stddev_ms=10.0))) != []
