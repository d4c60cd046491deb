"""Play seeds: ``python -m simulation SEED [--trace]``, or many of them: ``python -m simulation --seeds N``."""

import argparse
import sys

from simulation.seeds import run_seed


def main() -> int:
    """0 where no promise was broken."""
    parser = argparse.ArgumentParser(prog="python -m simulation", description=__doc__)
    parser.add_argument("seed", type=int, nargs="?", default=0)
    parser.add_argument("--trace", action="store_true", help="print every event")
    asked = parser.parse_args()
    outcome = run_seed(asked.seed, keep_lines=True)
    for line in outcome.lines if asked.trace else ():
        print(line)
    print(
        f"seed {outcome.seed}: {outcome.fault_count} faults, {outcome.virtual_s:.0f} virtual s, "
        f"{outcome.cpu_s * 1e3:.0f} ms, digest {outcome.digest[:16]}"
    )
    print(dict(outcome.faults))
    for violation in outcome.violations:
        print("VIOLATION", violation)
    return 1 if outcome.violations else 0


if __name__ == "__main__":
    sys.exit(main())
