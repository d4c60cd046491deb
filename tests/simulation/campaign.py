"""Many seeds, on all cores: how many faults were injected, and which seeds broke a promise."""

import gc
import multiprocessing
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from typing import Final

from simulation.seeds import Outcome, run_seed

CHUNK: Final = 50
REPLAY: Final = "PYTHONPATH=tests .venv/bin/python -m simulation {seed} --trace"
MOST_BROKEN: Final = 20


@dataclass
class Tally:
    """What came of many seeds. ``broken``: the outcomes of those that broke a promise."""

    seeds: int = 0
    cpu_s: float = 0.0
    virtual_s: float = 0.0
    faults: Counter[str] = field(default_factory=Counter)
    broken: list[Outcome] = field(default_factory=list)

    def add(self, other: "Tally") -> None:
        """Count in what another worker found."""
        self.seeds += other.seeds
        self.cpu_s += other.cpu_s
        self.virtual_s += other.virtual_s
        self.faults += other.faults
        self.broken += other.broken

    def summary(self) -> str:
        """In one line."""
        return (
            f"{self.seeds} seeds, {self.faults.total()} faults, {len(self.broken)} seeds with violations;"
            f" {self.virtual_s / 3600:.1f} virtual hours in {self.cpu_s:.0f} s of CPU"
            f" ({self.cpu_s / max(1, self.seeds) * 1e3:.1f} ms a seed)"
        )

    def complaints(self) -> Iterator[str]:
        """Each broken seed, with its first violation and how to see it."""
        for outcome in sorted(self.broken, key=lambda one: one.seed)[:MOST_BROKEN]:
            yield f"seed {outcome.seed}: {outcome.violations[0]}\n  {REPLAY.format(seed=outcome.seed)}"


def play(first: int, count: int) -> Tally:
    """The seeds from ``first`` on, in this process."""
    tally = Tally()
    gc.disable()  # a seed's garbage is small, and looking for it in the middle of one takes a tenth of the time
    try:
        for seed in range(first, first + count):
            outcome = run_seed(seed)
            broken = [outcome] if outcome.violations else []
            tally.add(Tally(1, outcome.cpu_s, outcome.virtual_s, outcome.faults, broken))
    finally:
        gc.enable()
        gc.collect()
    return tally


def play_all(first: int, count: int, *, workers: int = 2, told: Callable[[Tally], None] | None = None) -> Tally:
    """The same by several processes; ``told`` hears now and then how far they are."""
    tally = Tally()
    firsts = range(first, first + count, CHUNK)
    counts = [min(CHUNK, first + count - begin) for begin in firsts]
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        for found in pool.map(play, firsts, counts):
            tally.add(found)
            if told is not None:
                told(tally)
    return tally
