"""Which platforms, launchers and protocols pass the platform contract here: the contract suite itself, row by row."""

import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from benchmarks.figure import Figure

NAME: Final = "platform contract: platforms x launchers x protocols that pass"
SUITE: Final = "tests/contract/test_platform_contract.py"
SCRIPTED: Final = "scripted"
"""The platform that is no software, and shows that the suite holds; it is not counted."""
_ROOT: Final = Path(__file__).parents[1]
_ENDED: Final = re.compile(r"::test_\w+\[(?P<way>[\w-]+)\] (?P<end>PASSED|FAILED|ERROR|SKIPPED)")

Ends = Mapping[str, frozenset[str]]


def conformance() -> Iterable[Figure]:
    """How many ways to serve pass all of the contract, of those that can run here, by name.

    The tests are those of the suite. A way whose tests are skipped, because its software is not here, is listed.
    """
    command = [sys.executable, "-m", "pytest", "-vv", "-p", "no:cacheprovider", SUITE]
    ran = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, check=False)
    yield counted(ends_of(ran.stdout))


def ends_of(output: str) -> Ends:
    """How the tests of each way ended, as pytest's verbose output tells: way -> PASSED, FAILED, ERROR, SKIPPED."""
    ends: dict[str, set[str]] = defaultdict(set)
    for found in _ENDED.finditer(output):
        ends[found["way"]].add(found["end"])
    return {way: frozenset(seen) for way, seen in ends.items() if way.partition("-")[0] != SCRIPTED}


def counted(ends: Ends) -> Figure:
    """The figure; where no test ran at all, nothing passes and one way is wanted."""
    failing = [way for way, seen in ends.items() if seen & {"FAILED", "ERROR"}]
    absent = [way for way, seen in ends.items() if seen == {"SKIPPED"}]
    passing = [way for way in ends if way not in {*failing, *absent}]
    kinds = {"passing": passing, "failing": failing, "not here": absent}
    detail = "; ".join(f"{kind}: {', '.join(ways)}" for kind, ways in kinds.items() if ways)
    return Figure(name=NAME, measured=len(passing), unit="", low=max(1, len(passing) + len(failing)), detail=detail)
