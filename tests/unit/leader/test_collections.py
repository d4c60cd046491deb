"""The leader's answers are not held up by looks through everything that it remembers."""

import gc
from collections.abc import Iterator

import pytest

from leader.__main__ import collect_seldom


@pytest.fixture
def full_collections() -> Iterator[list[int]]:
    """How many objects each full collection since the start of the test left alone; the interpreter is put back."""
    seen: list[int] = []

    def note(phase: str, info: dict[str, int]) -> None:
        if phase == "stop" and info["generation"] == 2:
            seen.append(gc.get_freeze_count())

    thresholds = gc.get_threshold()
    gc.callbacks.append(note)
    yield seen
    gc.callbacks.remove(note)
    gc.set_threshold(*thresholds)
    gc.unfreeze()


def test_a_queue_of_ten_thousand_runs_is_taken_in_without_a_full_collection(full_collections: list[int]) -> None:
    """A run is some fifty objects. With the interpreter's own thresholds there are several."""
    gc.freeze()
    gc.set_threshold(700, 10, 10)
    queue: list[list[list[object]]] = [[[] for _ in range(49)] for _ in range(10_000)]
    assert len(full_collections) >= 2
    del queue
    collect_seldom()
    full_collections.clear()
    queue = [[[] for _ in range(49)] for _ in range(10_000)]
    assert full_collections == []
    del queue


def test_what_was_loaded_before_is_never_looked_through_again(full_collections: list[int]) -> None:
    """A cycle that was thrown away later on is still found."""
    collect_seldom()
    kept = gc.get_freeze_count()
    cycle: list[object] = []
    cycle.append(cycle)
    del cycle
    assert gc.collect() >= 1
    assert kept > 10_000
    assert full_collections[-1] == kept
