"""Looking for a mutation: storms first, then stories, then every death in them, until a promise is broken."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from typing import Final
from unittest.mock import patch

from simulation.crash_points import Case, cases, played
from simulation.mutations import BY_NAME, Mutation
from simulation.seeds import run_seed
from simulation.stage import play
from simulation.stories import BY_NAME as STORIES
from simulation.world import World

SEEDS: Final = 12
NO_SUCH_POINT: Final = "points "
"""A mutation may take another way, on which a point of the real one is never reached: that gives nothing away."""


@dataclass(frozen=True)
class Catch:
    """What gave a mutation away, and after how many tries; an empty ``promise``: nothing did in so many."""

    tries: int
    where: str = ""
    promise: str = ""

    def __str__(self) -> str:
        return f"{self.promise} after {self.tries} ({self.where})" if self.promise else f"not in {self.tries}"


@dataclass(frozen=True)
class Hunt:
    """How one mutation fared among storms, and among the stories that it names and the deaths in them."""

    mutation: str
    storms: Catch
    stories: Catch

    def __str__(self) -> str:
        return f"{self.mutation:22} storms: {self.storms}; stories: {self.stories}"


def hunted(name: str, seeds: int = SEEDS) -> Hunt:
    """Look for this mutation in both, until it shows."""
    mutation = BY_NAME[name]
    deaths = [case for story in mutation.stories for case in cases(STORIES[story], 1) if mutation.at in case.point]
    with ExitStack() as stack:
        stack.enter_context(_given_up_early())
        stack.enter_context(mutation.applied())
        return Hunt(name, _first(_storms(seeds)), _first(_deaths(mutation, deaths)))


Tries = Iterator[tuple[str, tuple[str, ...]]]
"""Where, and what was broken there."""


def _storms(seeds: int) -> Tries:
    for seed in range(seeds):
        yield f"seed {seed}", run_seed(seed).violations


def _deaths(mutation: Mutation, deaths: Sequence[Case]) -> Tries:
    for name in mutation.stories:
        yield name, play(STORIES[name]).violations
    for case in deaths:
        yield f"{case.story} {case.attempt} {case.crash}", played(case).violations


def _first(tries: Tries) -> Catch:
    count = 0
    for where, found in tries:
        count += 1
        broken = [violation for violation in found if not violation.startswith(NO_SUCH_POINT)]
        if broken:
            return Catch(count, where, broken[0].partition(" at ")[0])
    return Catch(count)


def _given_up_early() -> AbstractContextManager[object]:
    """One broken promise is enough: what is broken need not settle."""
    unsettled = World.unsettled

    def until_broken(world: World) -> str:
        return "" if world.inspector.violations else unsettled(world)

    patched: AbstractContextManager[object] = patch.object(World, "unsettled", until_broken)
    return patched
