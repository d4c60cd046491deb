"""What a seed makes of a storm."""

import itertools

import pytest
from chaos.attempt import DEEDS, seed_of
from chaos.deck import CARDS, LONGEST_S, SHORTEST_S, choose, injections, scripts


def test_a_seed_brings_the_same_storm_again() -> None:
    """Kinds, victims, spans and gaps, for as long as one looks; another seed brings another."""
    first, again, other = (list(itertools.islice(injections(seed, 1.0), 100)) for seed in (7, 7, 8))
    assert first == again
    assert first != other


def test_a_deck_deals_every_kind_as_often_as_it_has_cards() -> None:
    """Nothing is left to luck that 300 injections could miss."""
    size = sum(CARDS.values())
    for start in range(3):
        dealt = [card.kind for card in itertools.islice(injections(3, 1.0), start * size, (start + 1) * size)]
        assert {kind: dealt.count(kind) for kind in CARDS} == CARDS


def test_the_storm_begins_with_what_takes_longest_to_end() -> None:
    """A poisonous run needs three followers and two back-offs."""
    assert {next(injections(seed, 1.0)).kind for seed in range(5)} == {"poison"}


def test_gaps_have_the_mean_that_was_asked_for() -> None:
    """Of 2,000 uniform gaps in [0, 1): within five standard errors, 0.5 +- 0.033."""
    gaps_s = [card.gap_s for card in itertools.islice(injections(1, 0.5), 2000)]
    assert sum(gaps_s) / len(gaps_s) == pytest.approx(0.5, abs=0.033)
    assert min(gaps_s) >= 0


def test_a_seed_brings_the_same_jobs_again_and_all_are_of_known_scripts() -> None:
    """Every duration is within its bounds, and no job is poisonous by chance."""
    jobs = list(itertools.islice(scripts(5), 50))
    assert jobs == list(itertools.islice(scripts(5), 50))
    runs = [run for job in jobs for run in job]
    assert {deed for deed, _ in runs} == set(DEEDS) - {"poison"}
    assert all(SHORTEST_S <= duration_s <= LONGEST_S for _, duration_s in runs)


def test_no_job_asks_for_the_same_run_twice() -> None:
    """A sweep that lists a value twice is refused: of 20,000 jobs none does."""
    assert all(len({seed_of(*run) for run in job}) == len(job) for job in itertools.islice(scripts(9), 20_000))


@pytest.mark.parametrize(("pick", "number", "chosen"), [(0.0, 3, 0), (0.34, 3, 1), (0.999, 3, 2), (1.0, 3, 2)])
def test_a_pick_chooses_among_as_many_as_there_are(pick: float, number: int, chosen: int) -> None:
    """Evenly, and never beyond the last."""
    assert choose(pick, number) == chosen
