"""Which damage comes when: drawn from a seed before anything happens, so that a storm can be had again."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

CARDS: Final[dict[str, int]] = {
    "kill-follower": 2,
    "stop-follower": 1,
    "freeze-follower-short": 1,
    "freeze-follower-long": 1,
    "kill-attempt": 3,
    "freeze-attempt-short": 1,
    "freeze-attempt-long": 1,
    "kill-leader": 2,
    "freeze-leader-short": 1,
    "freeze-leader-long": 1,
    "flush-broker": 1,
    "kill-broker": 1,
    "kill-database": 1,
    "ring-100-times": 1,
    "cut-link": 1,
    "hold-link": 1,
    "hold-link-up": 1,
    "hold-link-down": 1,
    "delay-link": 1,
    "deliver-late": 1,
    "cancel-queued": 1,
    "cancel-claimed": 1,
    "cancel-running": 2,
    "cancel-delivering": 1,
    "cancel-ended": 1,
    "cancel-job": 1,
    "submit-again": 1,
    "poison": 1,
}
"""How often each kind is in a deck. A late delivery is held back until the next attempt is under way.

Short is less than a lease, long is more.
"""

SCRIPTS: Final[dict[str, int]] = {"succeed": 14, "fail": 3, "invalid": 2, "crash": 1}
SHORTEST_S: Final = 0.3
LONGEST_S: Final = 3.0
MOST_RUNS: Final = 3


@dataclass(frozen=True)
class Injection:
    """One piece of damage: ``pick`` and ``span``, in [0, 1), choose whom and for how long."""

    kind: str
    pick: float
    span: float
    gap_s: float  # after the one before


def injections(seed: int, mean_gap_s: float) -> Iterator[Injection]:
    """One shuffled deck after the other, for ever; the first card of all is poison, whose end takes longest."""
    chance = random.Random(seed)  # noqa: S311 - a storm, no secret
    cards = [kind for kind, count in CARDS.items() for _ in range(count)]
    first = True
    while True:
        chance.shuffle(cards)
        deck = ["poison", *(card for card in cards if card != "poison")] if first else cards
        first = False
        for kind in deck:
            yield Injection(kind, chance.random(), chance.random(), chance.uniform(0, 2 * mean_gap_s))


def scripts(seed: int) -> Iterator[list[tuple[str, float]]]:
    """The jobs of a user, for ever: what each run does, and for how many seconds; no two alike, as in any sweep."""
    chance = random.Random(f"{seed} jobs")  # noqa: S311 - the same
    deeds, weights = list(SCRIPTS), list(SCRIPTS.values())
    while True:
        runs = chance.choices(deeds, weights, k=chance.randint(1, MOST_RUNS))
        durations_ms = chance.sample(range(round(SHORTEST_S * 1000), round(LONGEST_S * 1000) + 1), len(runs))
        yield [(deed, duration_ms / 1000) for deed, duration_ms in zip(runs, durations_ms, strict=True)]


def choose(pick: float, number: int) -> int:
    """Which of so many."""
    return min(int(pick * number), number - 1)
