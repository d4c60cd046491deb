"""Streams of runs drawn from a seed, whose laws are written down: what policies are compared on."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from shared.errors import InvalidInput
from shared.scheduling.policy import known

_MINUTE_S: Final = 60.0
Floats = NDArray[np.float64]
Draw = Callable[[np.random.Generator, int], Floats]


@dataclass(frozen=True)
class Stream:
    """Runs by arrival; one entry each."""

    arrival_s: Floats
    duration_s: Floats
    team: tuple[str, ...]
    device: tuple[str, ...]
    duplicate_of: NDArray[np.int64]  # the earlier run that it repeats exactly; -1: none
    predicted_s: Floats | None = None  # what was predicted, where that is known; NaN where it is not

    def __len__(self) -> int:
        return len(self.arrival_s)

    def only(self, rows: NDArray[np.bool_]) -> "Stream":
        """Some of the runs; what a run repeats is then not known any more."""
        picked = np.flatnonzero(rows)
        return Stream(
            self.arrival_s[rows], self.duration_s[rows], tuple(self.team[row] for row in picked),
            tuple(self.device[row] for row in picked), np.full(len(picked), -1, np.int64),
            None if self.predicted_s is None else self.predicted_s[rows],
        )  # fmt: skip


@dataclass(frozen=True)
class Law:
    """How long runs take."""

    draw: Draw
    words: str
    batch: int = 1  # runs that arrive together


def _uniform(random: np.random.Generator, n: int) -> Floats:
    return random.uniform(1, 30, n) * _MINUTE_S


def _log_normal(random: np.random.Generator, n: int) -> Floats:
    return random.lognormal(np.log(10), 1.0, n) * _MINUTE_S


_SHORT: Final = 0.8


def _bimodal(random: np.random.Generator, n: int) -> Floats:
    return np.where(random.random(n) < _SHORT, 5.0, 90.0) * random.lognormal(0, 0.3, n) * _MINUTE_S


_POINTS: Final = 20


def _sweeps(random: np.random.Generator, n: int) -> Floats:
    """The points of one sweep resemble each other."""
    sizes = np.repeat(random.uniform(1, 30, -(-n // _POINTS)), _POINTS)[:n]
    return sizes * random.uniform(0.9, 1.1, n) * _MINUTE_S


LAWS: Final[Mapping[str, Law]] = {
    "uniform": Law(_uniform, "1 to 30 min"),
    "log-normal": Law(_log_normal, "median 10 min, sigma 1"),
    "bimodal": Law(_bimodal, "80 % median 5 min, 20 % median 90 min, each with sigma 0.3"),
    "sweeps": Law(_sweeps, "20 points at once, 1 to 30 min each, alike within 10 %", batch=_POINTS),
}
"""Name -> law of the durations."""


@dataclass(frozen=True, kw_only=True)
class StreamSpec:
    """What is drawn.

    Arrivals are Poisson, scaled so that the runs that were drawn need exactly the share ``load`` of all slots' time
    until the last one arrives: at load 0.9, a draw that is 3 % heavier would else wait half as long again.
    """

    law: str = "log-normal"
    runs: int = 3000
    load: float = 0.9
    slots: Mapping[str, int]  # device class -> slots; runs name a class in proportion
    teams: Sequence[str] = ("a",)
    duplicates: float = 0.0  # share of runs that repeat an earlier one

    def __post_init__(self) -> None:
        known(LAWS, self.law, "workload")
        wrong = {
            "runs": (self.runs, self.runs >= 1, "1 or more"),
            "load": (self.load, self.load > 0, "more than 0"),
            "slots": (dict(self.slots), bool(self.slots) and min(self.slots.values(), default=0) >= 1, "1 or more"),
            "duplicates": (self.duplicates, 0 <= self.duplicates < 1, "0 to below 1"),
        }
        for name, (value, is_right, allowed) in wrong.items():
            if not is_right:
                raise InvalidInput(f"{name} is {value}; it must be {allowed}")


def draw_stream(spec: StreamSpec, seed: int) -> Stream:
    """The stream of a seed: same seed, same stream."""
    random, law = np.random.default_rng([seed, 1]), LAWS[spec.law]
    batches = -(-spec.runs // law.batch)
    at = np.repeat(np.cumsum(random.exponential(1.0, batches)), law.batch)[: spec.runs]
    classes, teams = list(spec.slots), list(spec.teams)
    share = np.array([spec.slots[name] for name in classes], np.float64)
    of_team = np.repeat(random.integers(len(teams), size=batches), law.batch)[: spec.runs]
    stream = Stream(
        arrival_s=at,
        duration_s=law.draw(random, spec.runs),
        team=tuple(teams[index] for index in of_team),
        device=tuple(classes[index] for index in random.choice(len(classes), spec.runs, p=share / share.sum())),
        duplicate_of=np.full(spec.runs, -1, np.int64),
    )
    repeating = _repeating(stream, spec.duplicates, random) if spec.duplicates else stream
    needed_s = float(repeating.duration_s.sum()) / (spec.load * sum(spec.slots.values()))
    return replace(repeating, arrival_s=at * (needed_s / float(at[-1])))


def _repeating(stream: Stream, share: float, random: np.random.Generator) -> Stream:
    """Some runs are earlier ones again: same length, same device class."""
    n = len(stream)
    duplicate_of, duration_s, device = stream.duplicate_of.copy(), stream.duration_s.copy(), list(stream.device)
    for run in np.flatnonzero(random.random(n) < share):
        if run:
            first = int(random.integers(run))
            first = int(duplicate_of[first]) if duplicate_of[first] >= 0 else first
            duplicate_of[run], duration_s[run], device[run] = first, duration_s[first], device[first]
    return replace(stream, duration_s=duration_s, device=tuple(device), duplicate_of=duplicate_of)


def flood(spec: StreamSpec, seed: int, *, team: str, runs: int, at_s: float) -> Stream:
    """The stream, and ``runs`` more of one team that all arrive at ``at_s``, of the same law."""
    calm = draw_stream(spec, seed)
    random = np.random.default_rng([seed, 2])
    classes = list(spec.slots)
    arrival_s = np.concatenate([calm.arrival_s, np.full(runs, at_s)])
    by_arrival = np.argsort(arrival_s, kind="stable")
    teams = calm.team + (team,) * runs
    devices = calm.device + tuple(classes[index] for index in random.integers(len(classes), size=runs))
    return Stream(
        arrival_s=arrival_s[by_arrival],
        duration_s=np.concatenate([calm.duration_s, LAWS[spec.law].draw(random, runs)])[by_arrival],
        team=tuple(teams[run] for run in by_arrival),
        device=tuple(devices[run] for run in by_arrival),
        duplicate_of=np.full(len(arrival_s), -1, np.int64),
    )


def batch(law: str, runs: int, seed: int) -> Stream:
    """Runs of one team that are all there at 0."""
    draw = known(LAWS, law, "workload").draw
    return Stream(
        np.zeros(runs), draw(np.random.default_rng([seed, 3]), runs), ("a",) * runs, ("cpu",) * runs,
        np.full(runs, -1, np.int64),
    )  # fmt: skip
