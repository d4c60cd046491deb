"""The queue keeps its promises through thousands of storms, each drawn from a seed that replays it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from simulation.campaign import play, play_all
from simulation.seeds import run_seed

ROOT = Path(__file__).parents[2]
SEEDS = 5_000
FEWEST_FAULTS = 100_000


@pytest.mark.timeout(1800)
def test_no_promise_is_broken_in_thousands_of_storms(capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing lost, nothing twice, nothing left, whatever fails: each broken seed is named with how to replay it."""
    tally = play_all(0, SEEDS)
    with capsys.disabled():
        print(f"\n{tally.summary()}")
    assert list(tally.complaints()) == []
    assert tally.seeds == SEEDS
    assert tally.faults.total() >= FEWEST_FAULTS


def test_every_kind_of_fault_is_among_them() -> None:
    """A storm that forgot how to crash a leader would prove little."""
    kinds = set(play(0, 150).faults)
    assert kinds >= {
        "request-lost", "answer-lost", "delayed", "duplicate", "ring-lost", "many-rings",
        "partition", "request-cut-off", "answer-cut-off",
        "agent-killed", "agent-stopped", "host-held-up", "host-paused", "slow-kills",
        "leader-crash", "leader-held-up", "clock-step", "host-clock-step", "sweeps-twice",
        "store-fail-before", "store-fail-after", "store-fail-late", "store-none",
        "store-crash-before", "store-crash-after", "store-crash-late",
    }  # fmt: skip


def test_a_seed_is_the_same_in_every_process() -> None:
    """To the last event, whatever order sets have there."""
    seeds = [str(seed) for seed in range(8)]

    def told(hash_seed: str) -> str:
        env = {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")]), "PYTHONHASHSEED": hash_seed}
        command = [sys.executable, "-m", "simulation", *seeds]
        return subprocess.run(command, env=env, cwd=ROOT, capture_output=True, text=True, check=True).stdout

    first = told("1")
    assert first.count("digest") == len(seeds)
    assert first == told("2")
    here = [run_seed(int(seed), keep_lines=True).digest for seed in seeds]
    assert [line.rpartition(" ")[2] for line in first.splitlines()] == here
