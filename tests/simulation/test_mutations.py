"""A suite that finds no seeded bug proves nothing: each of these is found, and without them nothing is."""

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from typing import Final

import pytest

from simulation.hunts import SEEDS, Hunt, hunted
from simulation.mutations import MUTATIONS
from simulation.seeds import run_seed
from simulation.stage import undisturbed
from simulation.stories import BY_NAME

WORKERS: Final = 2
FEWEST: Final = 30
FEWEST_IN_STORMS: Final = 15
NAMES: Final = [mutation.name for mutation in MUTATIONS]


@pytest.fixture(scope="module")
def hunts() -> dict[str, Hunt]:
    """What came of the hunt for each mutation."""
    with ProcessPoolExecutor(WORKERS, mp_context=multiprocessing.get_context("spawn")) as pool:
        return dict(zip(NAMES, pool.map(hunted, NAMES), strict=True))


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", NAMES)
def test_the_bug_is_found_by_a_story_or_a_death_in_one(name: str, hunts: dict[str, Hunt]) -> None:
    """By a named promise or law, in the stories where it should show: not by luck."""
    assert hunts[name].stories.promise, hunts[name]


@pytest.mark.timeout(600)
def test_storms_find_most_of_them_within_a_dozen_seeds(
    hunts: dict[str, Hunt], capsys: pytest.CaptureFixture[str]
) -> None:
    """Which ones, and how soon, is printed; the rest needs a rarer storm, or one of the stories."""
    with capsys.disabled():
        print("\n" + "\n".join(map(str, hunts.values())))
    assert len(MUTATIONS) >= FEWEST
    assert sum(bool(hunt.storms.promise) for hunt in hunts.values()) >= FEWEST_IN_STORMS


def test_without_a_bug_the_same_seeds_and_stories_break_nothing() -> None:
    """The deaths in the stories are test_crash_points'."""
    assert [run_seed(seed).violations for seed in range(SEEDS)] == [()] * SEEDS
    named = sorted({story for mutation in MUTATIONS for story in mutation.stories})
    assert [undisturbed(story, 1).violations for story in named] == [()] * len(named)
    assert set(named) <= BY_NAME.keys()


def test_a_mutation_is_undone_afterwards() -> None:
    """The next one is hunted in a product that has no other bug."""
    for mutation in MUTATIONS:
        with mutation.applied():
            pass
    assert undisturbed.__wrapped__("plain", 1).violations == ()


def test_every_mutation_says_what_it_is() -> None:
    """In one sentence, under a name of its own."""
    assert len(set(NAMES)) == len(NAMES)
    assert all(mutation.says.endswith(".") and mutation.says.count(".") == 1 for mutation in MUTATIONS)
