"""Programs that are killed, frozen and looked after."""

import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from chaos.program import Keeper, Nursery, Program, environment_of

LISTENS = (
    "import signal, sys, time; signal.signal(15, lambda *_: sys.exit(0)); print('ready', flush=True); time.sleep(60)"
)


@pytest.fixture
def nursery() -> Iterator[Nursery]:
    """Where programs are started."""
    opened = Nursery()
    yield opened
    opened.close()


def program(folder: Path, nursery: Nursery, source: str, *may_give_up: int) -> Program:
    """A program of one line of Python, not started yet."""
    argv = (sys.executable, "-I", "-S", "-c", source)
    return Program("it", argv, environment_of(folder), folder / "log", nursery, frozenset(may_give_up))


def wait_until_ready(it: Program) -> None:
    """Until it listens to signals."""
    deadline = time.monotonic() + 10
    while "ready" not in it.last_words():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_program_that_listens_is_stopped_without_surprise(tmp_path: Path, nursery: Nursery) -> None:
    """It ends with 0, and nothing is noted."""
    it = program(tmp_path, nursery, LISTENS)
    it.start()
    wait_until_ready(it)
    it.stop()
    assert it.pid is None
    assert it.surprises == []


def test_a_frozen_program_stands_still_for_as_long_as_it_should(tmp_path: Path, nursery: Nursery) -> None:
    """The kernel says that it is stopped, and afterwards that it sleeps again."""
    it = program(tmp_path, nursery, LISTENS)
    it.start()
    wait_until_ready(it)
    freezing = threading.Thread(target=it.freeze, args=[0.3])
    freezing.start()
    wait_for_state(it, "T")
    freezing.join()
    wait_for_state(it, "S")
    it.kill()
    assert it.pid is None


def wait_for_state(it: Program, letter: str) -> None:
    """Until the kernel says so (proc(5)): a signal takes effect a moment after it was sent."""
    deadline = time.monotonic() + 10
    while Path(f"/proc/{it.pid}/stat").read_text().rpartition(")")[2].split()[0] != letter:
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize(("status", "noted"), [(3, True), (1, False)])
def test_what_ends_by_itself_is_started_again_and_noted_unless_it_may(
    tmp_path: Path, nursery: Nursery, status: int, noted: bool
) -> None:
    """With its status and its last words."""
    it = program(tmp_path, nursery, f"import sys; print('farewell'); sys.exit({status})", 1)
    it.start()
    assert it.process is not None
    it.process.wait()
    it.revive()
    assert it.starts == 2
    assert [words.startswith(f"it ended by itself with {status}: farewell") for words in it.surprises] == [True] * noted
    it.kill()


def test_the_keeper_leaves_alone_what_somebody_holds(tmp_path: Path, nursery: Nursery) -> None:
    """A program that is down on purpose stays down until its guard is let go of."""
    it = program(tmp_path, nursery, LISTENS, -signal.SIGKILL)
    it.start()
    with Keeper([it]):
        with it.guard:
            it.kill()
            time.sleep(0.5)
            assert it.starts == 1
        deadline = time.monotonic() + 10
        while it.starts == 1:
            assert time.monotonic() < deadline
            time.sleep(0.02)
    it.kill()
