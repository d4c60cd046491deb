"""The datasets that every follower has. This table is all of them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Final

from follower.generate.datasets.dataset import Dataset
from follower.generate.datasets.short_messages import short_messages
from follower.generate.datasets.text_clips import text_clips
from follower.generate.datasets.text_lines import text_directions, text_lines
from shared.errors import NotFound


@dataclass(frozen=True)
class Builtin:
    """A dataset that is made when it is first asked for."""

    description: str
    make: Callable[[], Dataset]


BUILTIN: Final[Mapping[str, Builtin]] = {
    "text-lines": Builtin("32 rendered pictures of text lines; the label is the text", text_lines),
    "text-directions": Builtin(
        'The same pictures, half of them upside down; the label is "0" or "180"', text_directions
    ),
    "text-clips": Builtin(
        'Clips of 12 frames of those pictures in a moving hand, half upside down; the label is "0" or "180"', text_clips
    ),
    "short-messages": Builtin(
        '320 short English texts; the label is "billing", "delivery", "fault" or "praise"', short_messages
    ),
}


def builtin() -> tuple[str, ...]:
    """The names that a follower announces."""
    return tuple(BUILTIN)


@cache
def load_builtin(name: str) -> Dataset:
    """The dataset of that name, made once per process.

    Raises:
        NotFound: There is no such built-in dataset.
    """
    if name not in BUILTIN:
        raise NotFound(f"no built-in dataset {name!r}; there are {', '.join(BUILTIN)}")
    return BUILTIN[name].make()
