"""Play one seed and print what happened, or play many.

python -m simulation SEED [--trace]
python -m simulation --seeds N [--first SEED] [--workers N]
"""

import argparse
import sys
from typing import Final

from simulation.campaign import Tally, play_all
from simulation.seeds import run_seed

TOLD_EVERY: Final = 5_000


def main() -> int:
    """0 where no promise was broken."""
    parser = argparse.ArgumentParser(prog="python -m simulation", description=__doc__)
    parser.add_argument("seed", type=int, nargs="*", help="seeds to play here, one by one")
    parser.add_argument("--trace", action="store_true", help="print every event")
    parser.add_argument("--seeds", type=int, help="so many seeds, by several processes")
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    asked = parser.parse_args()
    if asked.seeds is not None:
        return _many(asked.first, asked.seeds, asked.workers)
    return max([_one(seed, trace=asked.trace) for seed in asked.seed], default=0)


def _one(seed: int, *, trace: bool) -> int:
    outcome = run_seed(seed, keep_lines=True)
    for line in outcome.lines if trace else ():
        print(line)
    print(
        f"seed {seed}: {outcome.fault_count} faults {dict(sorted(outcome.faults.items()))},"
        f" {outcome.virtual_s:.0f} virtual s, digest {outcome.digest}"
    )
    for violation in outcome.violations:
        print("VIOLATION", violation)
    return 1 if outcome.violations else 0


def _many(first: int, count: int, workers: int) -> int:
    def told(tally: Tally) -> None:
        if tally.seeds % TOLD_EVERY == 0:
            print(tally.summary(), flush=True)

    tally = play_all(first, count, workers=workers, told=told)
    print(tally.summary())
    for kind, number in sorted(tally.faults.items()):
        print(f"  {number:9} {kind}")
    for complaint in tally.complaints():
        print("VIOLATION", complaint)
    return 1 if tally.broken else 0


if __name__ == "__main__":
    sys.exit(main())
