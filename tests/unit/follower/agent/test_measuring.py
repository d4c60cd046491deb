"""Who can tell that an attempt runs on this machine, and who cannot be hindered by asking."""

import subprocess
import sys
from pathlib import Path

import pytest

from follower.agent.lock_file import Busy, Holder, let_go, lock_file
from follower.agent.measuring import PREFIX, marked, who_measures
from follower.inventory.devices import Device

HOLDER = Holder(pid=7, follower="f1", work_dir="/work/f1", incarnation="i-1")
CORES = (Device("cpu-0", "core-0.lock", "core 0"), Device("cpu-0", "core-1.lock", "core 1"))


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Where locks lie."""
    return tmp_path / "slots"


def test_nobody_measures_where_there_are_no_locks(place: Path) -> None:
    """Nothing is made by looking."""
    assert who_measures(place) is None
    assert not place.exists()


def test_an_attempt_is_seen_for_as_long_as_somebody_has_its_mark(place: Path) -> None:
    """The agent lets go of it; the attempt, which inherited it, has it until it ends, however it ends."""
    with marked(place, CORES, HOLDER) as marks:
        attempt = subprocess.Popen([sys.executable, "-S", "-c", "input()"], stdin=subprocess.PIPE, pass_fds=marks)
    try:
        assert who_measures(place) == "follower 'f1', pid 7, in /work/f1"
    finally:
        attempt.kill()
        attempt.communicate()
    assert who_measures(place) is None


def test_the_locks_that_an_agent_always_has_are_no_sign(place: Path) -> None:
    """An idle follower measures nothing."""
    held = lock_file(place, CORES[0].file, HOLDER)
    assert who_measures(place) is None
    let_go(held)


def test_whoever_looks_keeps_nobody_from_measuring_for_longer_than_the_look(place: Path) -> None:
    """A mark that is taken at that moment is tried for again; one that stays taken is left out."""
    with marked(place, CORES, HOLDER):
        naps: list[float] = []
        with marked(place, CORES[:1], HOLDER, sleep=naps.append) as marks:
            assert marks == ()
        assert 0 < sum(naps) < 1
    blocker = lock_file(place, PREFIX + CORES[0].file, HOLDER)

    def looks_away(_seconds: float) -> None:
        let_go(blocker)

    with marked(place, CORES[:1], HOLDER, sleep=looks_away) as marks:
        assert len(marks) == 1
        with pytest.raises(Busy):
            lock_file(place, PREFIX + CORES[0].file, HOLDER)


def test_what_cannot_be_looked_into_counts_as_busy(place: Path) -> None:
    """Better to wait than to disturb."""
    place.mkdir(parents=True)
    (place / f"{PREFIX}core-0.lock").symlink_to("elsewhere")
    assert (who_measures(place) or "").startswith("somebody, perhaps: ")
