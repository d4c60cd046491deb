"""Lanes and marks: what keeps calls apart, and what keeps strangers safe."""

import queue
import threading
from pathlib import Path

import pytest

from follower.agent.lane import Lane
from follower.agent.reap import carries
from follower.settings import ATTEMPT_MARK


def test_calls_of_one_lane_are_made_in_order() -> None:
    """Progress before the result, for one."""
    done: queue.SimpleQueue[int] = queue.SimpleQueue()
    lane = Lane("test", lambda _name: None)
    for number in range(50):
        lane.submit(lambda number=number: done.put(number))  # type: ignore[misc]
    assert [done.get(timeout=5) for _ in range(50)] == list(range(50))


def test_a_slow_lane_keeps_no_other_waiting() -> None:
    """A renewal is made while an upload hangs."""
    release, renewed = threading.Event(), threading.Event()

    def hang() -> None:
        release.wait(10)

    Lane("uploads", lambda _name: None).submit(hang)
    Lane("leases", lambda _name: None).submit(renewed.set)
    assert renewed.wait(5)
    release.set()


def test_a_call_that_raises_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    """No call should; the one that does is reported under its lane's name, and its traceback reaches the hook."""
    broken: queue.SimpleQueue[str] = queue.SimpleQueue()
    uncaught: queue.SimpleQueue[type[BaseException]] = queue.SimpleQueue()
    monkeypatch.setattr(threading, "excepthook", lambda hooked: uncaught.put(hooked.exc_type))

    def fault() -> None:
        raise ZeroDivisionError

    Lane("uploads", broken.put).submit(fault)
    assert broken.get(timeout=5) == "uploads"
    assert uncaught.get(timeout=5) is ZeroDivisionError


@pytest.mark.parametrize(
    ("environment", "carried"),
    [
        (f"PATH=/bin\0{ATTEMPT_MARK}=/work/attempts/a\0", True),
        (f"{ATTEMPT_MARK}=/work/attempts\0", True),
        ("HOME=/work/attempts/a/server\0", True),
        ("HOME=/work/attempts-of-others/a\0", False),
        ("HOME=/work\0", False),
        ("PWD=/work/attempts/a\0OLDPWD=/work/attempts/a\0", False),
        ("SHOME=/work/attempts/a\0", False),
        ("", False),
    ],
)
def test_only_a_mark_at_or_below_the_directory_counts(environment: str, carried: bool) -> None:
    """A shell that somebody left in the directory is nobody's attempt."""
    assert carries(environment.encode(), Path("/work/attempts")) is carried
