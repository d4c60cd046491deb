"""Whoever dies, and wherever: after a restart every promise holds. All points of all stories, none drawn by chance."""

import gc
import multiprocessing
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Final

import pytest

from simulation.crash_points import Case, attempts, cases, points, violations
from simulation.stage import Crash, play, undisturbed
from simulation.stories import BY_NAME, STORIES

WORKERS: Final = 2
AT_ONCE: Final = 15
FEWEST_NAMES: Final = 90
FEWEST_CASES: Final = 5_000


@pytest.fixture(scope="module")
def pool() -> Iterator[ProcessPoolExecutor]:
    """Processes that play cases."""
    with ProcessPoolExecutor(WORKERS, mp_context=multiprocessing.get_context("spawn"), initializer=gc.freeze) as made:
        yield made


def broken_in(found: Sequence[Case]) -> list[str]:
    """What is broken in these, in a process of the pool."""
    gc.disable()  # what one case leaves is small, and looking for it in the middle of one takes a tenth of the time
    try:
        return [line for case in found for line in violations(case)]
    finally:
        gc.enable()
        gc.collect()


@pytest.mark.timeout(600)
@pytest.mark.parametrize("story", [story.name for story in STORIES])
def test_no_death_at_any_point_of_the_story_breaks_a_promise(story: str, pool: ProcessPoolExecutor) -> None:
    """Leader or agent dies before or after each thing that it does, in a first attempt and in a retried one."""
    found = [case for attempt in attempts(BY_NAME[story]) for case in cases(BY_NAME[story], attempt)]
    assert found
    parts = [found[first : first + AT_ONCE] for first in range(0, len(found), AT_ONCE)]
    assert [line for lines in pool.map(broken_in, parts) for line in lines] == []


@pytest.mark.parametrize("story", [story.name for story in STORIES])
def test_nothing_is_broken_where_nobody_dies(story: str) -> None:
    """So that what a death breaks is the death's."""
    assert [undisturbed(story, attempt).violations for attempt in attempts(BY_NAME[story])].count(()) == len(
        attempts(BY_NAME[story])
    )


def test_the_stories_reach_every_phase_and_enough_points(capsys: pytest.CaptureFixture[str]) -> None:
    """Counted, so that a story that has become short is noticed."""
    every = [(story, attempt) for story in STORIES for attempt in attempts(story)]
    reached = [point for story, attempt in every for point in points(story, attempt)]
    names = {(point.actor, point.name) for point in reached}
    count = sum(1 for story, attempt in every for _ in cases(story, attempt))
    with capsys.disabled():
        print(f"\n{len(STORIES)} stories, {len(names)} named points, {len(reached)} reached, {count} cases")
    phases = {name.partition(":")[0] for _, name in names}
    assert phases >= {
        "starting", "registering", "submitting", "queued (claiming)", "running (renewal)", "running (progress)",
        "artifact upload", "delivering (evidence)", "delivering", "delivering (record)", "cancelling", "reaping",
        "requeueing (a new incarnation voids the lease)", "reconciling", "search step", "expiry", "announcing",
        "agent", "disk",
    }  # fmt: skip
    assert not [name for name in phases if name.startswith("elsewhere")]
    assert len(names) >= FEWEST_NAMES
    assert count >= FEWEST_CASES


def test_a_case_is_the_same_every_time() -> None:
    """To the last event, so that a line in a report is enough to see it again."""
    crash = Crash("leader", 27, "after", 25.0)
    first, again = (play(BY_NAME["plain"], 1, crash, keep_lines=True) for _ in range(2))
    assert first.lines == again.lines
    assert any("dies after" in line for line in first.lines)


def test_a_death_at_a_point_that_is_not_there_is_noticed() -> None:
    """Instead of passing for a case that holds."""
    found = play(BY_NAME["plain"], 1, Crash("leader", 10_000, "before", 1.0)).violations
    assert [what.partition(" at ")[0] for what in found] == ["points"]
