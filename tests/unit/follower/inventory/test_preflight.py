"""Is the host idle? Arithmetic on readings that the test writes itself."""

import os
from pathlib import Path

import pytest

from follower.inventory.preflight import (
    TICKS_PER_S,
    CpuReading,
    Policy,
    Preflight,
    busy_share,
    busy_ticks,
    judge,
    read_cpu_ticks,
    wait_until_long_enough,
)

STAT = """cpu  100 10 50 9000 7 1 2 3 0 0
cpu0 60 5 30 4000 4 1 1 2 0 0
cpu1 40 5 20 5000 3 0 1 1 9 9
intr 123
"""


def reading(at_s: float, *, busy_s: float, own_s: float = 0.0, cores: int = 2) -> CpuReading:
    """A reading in seconds."""
    ticks = TICKS_PER_S
    return CpuReading(
        at_ns=round(at_s * 1e9), busy_ticks=round(busy_s * ticks), own_ticks=round(own_s * ticks), cores=cores
    )


def test_only_work_on_the_slots_cores_counts() -> None:
    """user, nice, system, irq, softirq and steal; neither idle nor waiting nor what guests had twice."""
    assert busy_ticks(STAT, {0}) == 60 + 5 + 30 + 1 + 1 + 2
    assert busy_ticks(STAT, {1}) == 40 + 5 + 20 + 0 + 1 + 1
    assert busy_ticks(STAT, {0, 1}) == busy_ticks(STAT, {0}) + busy_ticks(STAT, {1})


def test_a_busy_core_of_two_is_half() -> None:
    """One second of work in one second on two cores."""
    assert busy_share(reading(0, busy_s=5), reading(1, busy_s=6)) == pytest.approx(0.5)


def test_our_own_work_is_taken_off() -> None:
    """What we used ourselves while preparing says nothing about the host."""
    assert busy_share(reading(0, busy_s=0), reading(1, busy_s=1.0, own_s=0.8)) == pytest.approx(0.1)


def test_rounding_never_makes_it_negative_or_more_than_all() -> None:
    """Ticks are coarse."""
    assert busy_share(reading(0, busy_s=0), reading(1, busy_s=0.1, own_s=0.2)) == 0.0
    assert busy_share(reading(0, busy_s=0), reading(1, busy_s=9)) == 1.0


@pytest.mark.parametrize(
    ("share", "policy", "verdict"),
    [
        (0.1, "mark", Preflight(busy_share=0.1)),
        (0.37, "mark", Preflight(busy_share=0.37, reason="host was 37% busy before the run")),
        (0.37, "refuse", Preflight(busy_share=0.37, refused=True, reason="host was 37% busy before the run")),
        (0.99, "off", Preflight(busy_share=0.99)),
    ],
)
def test_the_policy_decides_what_a_busy_host_means(share: float, policy: Policy, verdict: Preflight) -> None:
    """Marked, refused, or not looked at; up to the limit nothing is said."""
    assert judge(share, 0.25, policy) == verdict


def test_processes_are_read_with_their_dead_children(tmp_path: Path) -> None:
    """utime, stime, cutime and cstime, even behind a name with blanks and brackets; the gone count nothing."""
    (tmp_path / "stat").write_text(STAT)
    (tmp_path / "7").mkdir()
    fields = "S 1 7 7 0 -1 4194560 100 0 0 0 11 22 33 44 20 0 1 0 100 0 0"
    (tmp_path / "7" / "stat").write_text(f"7 (a ) strange (name) {fields}\n")
    assert read_cpu_ticks({0, 1}, [7, 8], tmp_path).own_ticks == 11 + 22 + 33 + 44


def test_this_machine_can_be_read() -> None:
    """The kernel here writes what the reader expects."""
    found = read_cpu_ticks(os.sched_getaffinity(0), [os.getpid()])
    assert found.busy_ticks > 0
    assert found.cores == len(os.sched_getaffinity(0))


def test_a_reading_is_given_the_time_that_makes_it_worth_something() -> None:
    """It sleeps what is missing to 200 ms, and not at all when that has passed."""
    slept: list[float] = []
    now = read_cpu_ticks({0}, [])
    wait_until_long_enough(now, slept.append)
    wait_until_long_enough(reading(0, busy_s=0), slept.append)
    assert len(slept) == 1
    assert 0 < slept[0] <= 0.2
