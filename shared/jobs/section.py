"""The base of every part of the job file, and how a part says that its keys contradict each other."""

from collections.abc import Iterable
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict
from pydantic_core import PydanticCustomError

Loc = tuple[str | int, ...]
"""Where something stands in a job file: keys and list indexes from the top."""


class Section(BaseModel):
    """A part of the job file: unknown keys are errors, because a misspelt key must never mean a default."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


@dataclass(frozen=True)
class Contradiction:
    """Keys that are right by themselves and impossible together. ``loc`` counts from the section that says so."""

    loc: Loc
    message: str


def refuse(contradictions: Iterable[Contradiction]) -> None:
    """Called from a section's validator: nothing if there is none.

    Raises:
        PydanticCustomError: of type ``contradiction``, carrying all of them in its context.
    """
    found = tuple(contradictions)
    if found:
        summary = "; ".join(c.message for c in found)
        raise PydanticCustomError("contradiction", "{summary}", {"summary": summary, "contradictions": found})


def path_of(loc: Loc) -> str:
    """``("pipeline", "preprocess", 1, "size")`` -> ``"pipeline.preprocess[1].size"``."""
    parts = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in loc)
    return "".join(parts).removeprefix(".")
