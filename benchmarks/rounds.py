"""Side by side in one run: A, B, A, B ... so that what drifts on the machine falls on both alike."""

from collections.abc import Callable, Mapping
from statistics import median


def interleaved(contenders: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Each contender's value of every round; odd rounds go backwards, so that none always follows the same one."""
    values: dict[str, list[float]] = {name: [] for name in contenders}
    for number in range(rounds):
        order = list(contenders) if number % 2 == 0 else list(contenders)[::-1]
        for name in order:
            values[name].append(contenders[name]())
    return values


def ratio(values: Mapping[str, list[float]], ours: str, theirs: str) -> float:
    """Median over the rounds of ours / theirs of the same round."""
    return median(mine / other for mine, other in zip(values[ours], values[theirs], strict=True))


def difference(values: Mapping[str, list[float]], ours: str, theirs: str) -> float:
    """Median over the rounds of ours - theirs of the same round."""
    return median(mine - other for mine, other in zip(values[ours], values[theirs], strict=True))


def told(values: Mapping[str, list[float]], unit: str) -> str:
    """Each contender's median and range."""
    parts = (f"{name} {median(own):.1f} ({min(own):.1f} to {max(own):.1f})" for name, own in values.items())
    return f"{unit}: " + ", ".join(parts)
