"""Every point of every story, with a death before it and one after it.

Play one case again: ``python -m simulation.crash_points STORY ATTEMPT ACTOR NUMBER WHEN BACK_AFTER_S``.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Final

from simulation.plots import Story
from simulation.points import Point
from simulation.seeds import CALM_S
from simulation.stage import Crash, Played, When, play, undisturbed
from simulation.stories import BY_NAME, STORIES

BACK_AFTER_S: Final = (1.0, 25.0)
"""The dead come back before the leases end, or after they were taken back: by turns."""
FAILING: Final = frozenset({"plain", "cancel-delivering"})
"""The stories of which every write fails, too, once done and once not."""
BEATS: Final = ("eartbeat", "leaders.replace_one")
"""What is done again every few seconds, and is alike every time."""
MOST_BEATS: Final = 2
SIDES: Final[tuple[When, ...]] = ("before", "after")
OUTCOMES: Final[tuple[When, ...]] = ("fails-before", "fails-after")
BEGINS_EARLY: Final = "start"
"""The story in which the start of all programs is looked at, too: it is the same in all."""


@dataclass(frozen=True)
class Case:
    """One death in one story, or one failure of a write; ``point`` is where."""

    story: str
    attempt: int
    crash: Crash
    point: str = ""

    def __str__(self) -> str:
        """As it is played again."""
        return f"python -m simulation.crash_points {self.story} {self.attempt} {self.crash}"


def attempts(story: Story) -> tuple[int, ...]:
    """The attempts that the story can be about."""
    return (1, 2) if story.can_be_retried else (1,)


def points(story: Story, attempt: int) -> list[Point]:
    """The points of the undisturbed story that are this form's own, in order.

    Of one actor's signs of life, which are all alike, only the first ones count.
    """
    reached = undisturbed(story.name, attempt).points
    first_s = CALM_S
    if attempt == 1 and story.name == BEGINS_EARLY:
        first_s = 0.0
    if attempt > 1:
        first_s = next(point.at_s for point in reached if "running -> queued" in point.changes)
    own = [point for point in reached if point.at_s >= first_s]
    beats: Counter[tuple[str, str]] = Counter()
    return [point for point in own if not _is_one_beat_more(point, beats)]


def _is_one_beat_more(point: Point, beats: Counter[tuple[str, str]]) -> bool:
    if not any(beat in point.name for beat in BEATS):
        return False
    beats[point.who, point.name] += 1
    return beats[point.who, point.name] > MOST_BEATS


@cache
def _first_reached() -> frozenset[tuple[str, int, int]]:
    """Story, attempt and number of the first two leader's points of each name."""
    found: set[tuple[str, int, int]] = set()
    seen: Counter[str] = Counter()
    for story in STORIES:
        for attempt in attempts(story):
            for point in points(story, attempt):
                seen[point.name] += 1
                if point.store_method and seen[point.name] <= MOST_BEATS:
                    found.add((story.name, attempt, point.number))
    return frozenset(found)


def cases(story: Story, attempt: int) -> Iterator[Case]:
    """A death on each side of each point; and writes that fail: all of some stories, the first two of each name.

    What an agent does at one moment it does in one piece: to die before a point is to have died after the last one.
    """
    last: dict[str, float] = {}
    for point in points(story, attempt):
        place = (story.name, attempt, point.number)
        sides: tuple[When, ...] = SIDES
        if point.actor == "follower" and last.get(point.who) == point.at_s:
            sides = ("after",)
        elif point.store_method and (story.name in FAILING or place in _first_reached()):
            sides = SIDES + OUTCOMES
        last[point.who] = point.at_s
        for when in sides:
            back_after_s = BACK_AFTER_S[(point.number + (when == "after")) % 2] if when in SIDES else 0.0
            yield Case(story.name, attempt, Crash(point.actor, point.number, when, back_after_s), point.name)


def played(case: Case, *, keep_lines: bool = False) -> Played:
    """What comes of it."""
    return play(BY_NAME[case.story], case.attempt, case.crash, keep_lines=keep_lines)


def violations(case: Case) -> list[str]:
    """What was broken, each line with what plays it again."""
    return [f"{case}: {found}" for found in played(case).violations]


def main() -> int:
    """0 where no promise was broken."""
    parser = argparse.ArgumentParser(prog="python -m simulation.crash_points", description=__doc__)
    parser.add_argument("story", choices=[story.name for story in STORIES])
    parser.add_argument("attempt", type=int)
    parser.add_argument("actor", choices=["leader", "follower"])
    parser.add_argument("number", type=int)
    parser.add_argument("when", choices=SIDES + OUTCOMES)
    parser.add_argument("back_after_s", type=float)
    asked = parser.parse_args()
    crash = Crash(asked.actor, asked.number, asked.when, asked.back_after_s)
    found = played(Case(asked.story, asked.attempt, crash), keep_lines=True)
    sys.stdout.write("\n".join([*found.lines, *(f"VIOLATION {what}" for what in found.violations), ""]))
    return 1 if found.violations else 0


if __name__ == "__main__":
    sys.exit(main())
