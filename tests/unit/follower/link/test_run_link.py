"""What an attempt decides about its link: cores, drivers, and when the link is opened and measured."""

from pathlib import Path
from typing import Any

import pytest

from follower.link import run_link
from follower.link.drivers import DRIVERS, Driver, choose
from follower.link.emulator import EmulatorOrder
from follower.link.run_link import MOST_MEASUREMENTS, LinkProcess, RunLink, line_of, measured
from follower.serve.protocol import Endpoint
from shared.errors import AttemptFailed
from shared.jobs.lifecycle import Cause
from shared.jobs.network import NetworkLink
from shared.measure.link import LinkReading

SLOW = NetworkLink(delay_ms=10, rate_mbit=20)
SERVICE = Endpoint(host="127.0.0.1", port=8000, model_name="m")


def reading(round_trip_ms: float = 20.0) -> LinkReading:
    """Of the slow link."""
    return LinkReading(
        driver="tun", **SLOW.model_dump(), round_trip_ms=round_trip_ms, round_trip_stddev_ms=0.1, round_trips=20,
        up_mbit=20.0, down_mbit=19.9,
    )  # fmt: skip


class ScriptedProcess:
    """An emulator that only remembers what it was asked for."""

    started: list[EmulatorOrder]
    closed: int

    def __init__(self, order: EmulatorOrder, _cores: Any, _log: Path) -> None:
        type(self).started.append(order)
        number = len(type(self).started)
        self.reached_at = tuple((f"198.19.0.{number}", port) for _, port in order.targets)

    def close(self) -> None:
        type(self).closed += 1


@pytest.fixture
def emulators(monkeypatch: pytest.MonkeyPatch) -> type[ScriptedProcess]:
    """In the place of processes; every measurement finds what was asked for."""
    ScriptedProcess.started, ScriptedProcess.closed = [], 0
    monkeypatch.setattr(run_link, "LinkProcess", ScriptedProcess)
    monkeypatch.setattr(run_link, "measure", lambda *_: reading())
    monkeypatch.setattr(run_link, "choose", lambda *_: "tun")
    return ScriptedProcess


def test_without_a_link_nothing_is_touched() -> None:
    """The usual run."""
    with RunLink() as link:
        assert link.through(SERVICE) is SERVICE
        assert link.sender_cores((0, 1)) == (0, 1)
        assert link.emulator_cores == ()
        assert link.leaves_cores_alone
        assert link.reading is None


def test_the_emulator_gets_a_core_of_its_own_where_the_client_has_two() -> None:
    """And shares the only one otherwise, which the senders then must not burn."""
    two, one = (RunLink(SLOW, client_cores=cores) for cores in ((2, 3), (2,)))
    assert (two.sender_cores((2, 3)), two.emulator_cores, two.leaves_cores_alone) == ((2,), (3,), True)
    assert (one.sender_cores((2,)), one.emulator_cores, one.leaves_cores_alone) == ((2,), (2,), False)


def test_a_link_is_opened_once_for_a_service_and_closed_with_the_attempt(emulators: type[ScriptedProcess]) -> None:
    """The load goes to the link's address, and everything else of the endpoint stays."""
    told: list[str] = []
    with RunLink(SLOW, seed=5, tell=lambda kind, _line, **_: told.append(kind)) as link:
        first, second = link.through(SERVICE), link.through(SERVICE)
        assert first == second
        assert (first.host, first.port, first.model_name) == ("198.19.0.1", 8000, "m")
        assert link.reading == reading()
        assert emulators.closed == 0
    (order,) = emulators.started
    assert (order.seed, order.link, order.targets[0]) == (5, SLOW, ("127.0.0.1", 8000))
    assert emulators.closed == 1
    assert told == ["link"]


def test_another_service_gets_another_link(emulators: type[ScriptedProcess]) -> None:
    """The first one is closed."""
    with RunLink(SLOW) as link:
        link.through(SERVICE)
        assert link.through(Endpoint(host="127.0.0.1", port=9000, model_name="m")).host == "198.19.0.2"
        assert emulators.closed == 1
    assert emulators.closed == 2


def test_a_service_that_is_not_on_the_loopback_address_is_reached_by_a_splice(
    emulators: type[ScriptedProcess],
) -> None:
    """A container's address, say: the device leads to a splice on the loopback address, which is no link itself."""
    with RunLink(SLOW) as link:
        assert link.through(Endpoint(host="172.30.0.2", port=8000, model_name="m")).host == "198.19.0.2"
    splice, emulator = emulators.started
    assert (splice.driver, splice.link, splice.targets[0]) == ("proxy", NetworkLink(), ("172.30.0.2", 8000))
    assert emulator.targets == (("198.19.0.1", 8000), ("198.19.0.1", splice.targets[1][1]))
    assert emulators.closed == 2


def test_a_link_that_is_off_for_a_moment_is_measured_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first reading that is as asked counts."""
    readings = iter([reading(25.0), reading(20.1), reading(30.0)])
    monkeypatch.setattr(run_link, "measure", lambda *_: next(readings))
    assert measured(SLOW, "tun", ("h", 1)).round_trip_ms == 20.1


def test_a_link_that_stays_off_is_reported_as_it_was_found_last(monkeypatch: pytest.MonkeyPatch) -> None:
    """The verdict says the rest."""
    found = [reading(25.0 + number) for number in range(MOST_MEASUREMENTS)]
    readings = iter(found)
    monkeypatch.setattr(run_link, "measure", lambda *_: next(readings))
    assert measured(SLOW, "tun", ("h", 1)) == found[-1]


def test_nothing_that_comes_through_is_the_followers_failure(
    monkeypatch: pytest.MonkeyPatch, emulators: type[ScriptedProcess]
) -> None:
    """Another follower may do better; the emulator is gone afterwards."""

    def lost(*_: object) -> LinkReading:
        raise TimeoutError("timed out")

    monkeypatch.setattr(run_link, "measure", lost)
    with pytest.raises(AttemptFailed, match="nothing comes through the network link") as caught, RunLink(SLOW) as link:
        link.through(SERVICE)
    assert caught.value.cause is Cause.FOLLOWER_ERROR
    assert emulators.closed == 1


def test_a_link_below_the_proxys_floor_fails_the_attempt_without_a_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is fetched, with what would be right."""
    table = {"proxy": DRIVERS["proxy"], "tun": Driver(("custom",), lambda: "it takes root")}
    monkeypatch.setattr(run_link, "choose", lambda link: choose(link, table))  # type: ignore[arg-type]
    with pytest.raises(AttemptFailed, match="slower profile") as caught:
        RunLink(NetworkLink(delay_ms=1)).require()
    assert caught.value.cause is Cause.FOLLOWER_ERROR


def test_an_emulator_that_does_not_start_is_told_with_its_log(tmp_path: Path) -> None:
    """A real process, asked for a device before a target that it cannot resolve."""
    order = EmulatorOrder(driver="proxy", link=SLOW, seed=0, targets=())
    process = LinkProcess(order, (), tmp_path / "link.log")
    process.close()
    with pytest.raises(AttemptFailed, match="cannot be opened"):
        LinkProcess(order, (10_000,), tmp_path / "link.log")  # no such core
    assert "10000" in (tmp_path / "link.log").read_text()


def test_the_line_of_the_story_gives_asked_and_found() -> None:
    """For people."""
    assert line_of(reading()) == (
        "tun: round trip 20.00 ms (20 asked) over 20 messages, 20 and 19.9 Mbit/s there and back (20 asked)"
    )
