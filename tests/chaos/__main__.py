"""``python -m chaos``: a storm, then the figures; 1 where anything was violated or a target missed."""

import argparse
import secrets
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from chaos.measure import measured
from chaos.report import told
from chaos.storm import Settings, storm

from benchmarks.figure import table


def main() -> int:
    """Runs and prints."""
    asked = _arguments()
    seed = secrets.randbelow(10**6) if asked.seed is None else asked.seed
    settings = Settings(seed=seed, injections=asked.injections, lease_s=asked.lease_s, mean_gap_s=asked.gap_s)
    failed = False
    with _place(asked.keep) as place:
        if asked.injections:
            report = storm(_made(place / "storm"), settings)
            sys.stdout.write(told(report))
            failed |= bool(report.violations)
        if not asked.no_figures:
            found = measured(place)
            sys.stdout.write(table(found) + "\n")
            failed |= not all(figure.is_met for figure in found)
    return int(failed)


@contextmanager
def _place(keep: Path | None) -> Iterator[Path]:
    """A folder that is gone afterwards, unless it is to be kept."""
    if keep is not None:
        yield _made(keep.absolute())
        return
    with tempfile.TemporaryDirectory(prefix="inferbench-chaos-") as folder:
        yield Path(folder)


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="chaos", description=__doc__)
    parser.add_argument("--seed", type=int, help="replay this storm; without it the seed is drawn, and printed")
    parser.add_argument("--injections", type=int, default=300, help="how many (default 300); 0: the figures only")
    parser.add_argument("--no-figures", action="store_true", help="the storm only")
    parser.add_argument("--lease-s", type=float, default=Settings.lease_s, help="the leader's lease in the storm")
    parser.add_argument("--gap-s", type=float, default=Settings.mean_gap_s, help="mean time between two injections")
    parser.add_argument("--keep", type=Path, help="keep logs and database in this folder, which must not exist")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
