"""The sampler on real processes whose use is known: one that burns, one that sleeps, one that is born and dies."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import pytest

from follower.collect.sampler import ProcessSampler

BURN = "import time\nend = time.process_time() + 0.5\nwhile time.process_time() < end: pass\nprint(flush=True)\ninput()"
HOLD = "import time\nblock = b'x' * 50_000_000\nprint(flush=True)\ninput()"
PARENT = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {BURN!r}])"


@contextmanager
def python(code: str) -> Iterator[subprocess.Popen[bytes]]:
    """A Python process that runs ``code``; it says a line when it is done and ends at the end."""
    with subprocess.Popen([sys.executable, "-I", "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.kill()


def wait_for_line(process: subprocess.Popen[bytes]) -> None:
    """Until the process has done its work."""
    assert process.stdout is not None
    process.stdout.readline()


def spent_s(sampler: ProcessSampler) -> float:
    """CPU seconds between the first and the last reading."""
    return (sampler.series[-1].cpu_ns - sampler.series[0].cpu_ns) / 1e9


def test_a_process_is_charged_for_what_it_burns() -> None:
    """Half a second of CPU time, to a few ticks."""
    with python(BURN) as process:
        sampler = ProcessSampler([process.pid])
        sampler.start()
        wait_for_line(process)
        sampler.stop()
    assert spent_s(sampler) == pytest.approx(0.5, abs=0.15)


def test_a_child_born_later_is_part_of_its_parents_tree() -> None:
    """The parent only waits; what is measured is its child's."""
    with python(PARENT) as process:
        sampler = ProcessSampler([process.pid])
        sampler.start()
        wait_for_line(process)
        sampler.stop()
        for child in psutil.Process(process.pid).children():
            child.kill()
    assert spent_s(sampler) == pytest.approx(0.5, abs=0.15)


def test_memory_is_what_is_held_at_the_reading() -> None:
    """50 MB, within the interpreter's own size."""
    with python(HOLD) as process:
        wait_for_line(process)
        sampler = ProcessSampler([process.pid])
        sampler.start()
    held = sampler.summary().rss_max_bytes
    assert held is not None
    assert 50_000_000 < held < 100_000_000


def test_a_process_that_ends_keeps_what_it_spent_and_breaks_nothing() -> None:
    """Its CPU time stays in the sum, its memory does not."""
    with python(BURN) as process:
        sampler = ProcessSampler([process.pid])
        sampler.start()
        wait_for_line(process)
        sampler.sample()
    sampler.stop()
    assert spent_s(sampler) == pytest.approx(0.5, abs=0.15)
    assert sampler.series[-1].rss_bytes == 0


def test_a_process_that_never_was_has_no_memory() -> None:
    """A number that is in no use."""
    sampler = ProcessSampler([2**22 + 1])
    sampler.start()
    assert sampler.series[0].rss_bytes == 0


def test_a_sleeper_costs_nothing() -> None:
    """And a tree named twice is counted once."""
    with python("input()") as process:
        sampler = ProcessSampler([process.pid, process.pid])
        time.sleep(0.3)
        sampler.start()
        sampler.sample()
        sampler.stop()
        rss = psutil.Process(process.pid).memory_info().rss
    assert spent_s(sampler) < 0.05
    assert sampler.series[0].rss_bytes == pytest.approx(rss, rel=0.1)


def test_a_reading_takes_a_few_milliseconds_at_most() -> None:
    """The median of twenty, of this very process, on a busy machine."""
    sampler = ProcessSampler([os.getpid()])
    took = []
    for _ in range(20):
        began = time.perf_counter()
        sampler.sample()
        took.append(time.perf_counter() - began)
    assert sorted(took)[10] < 0.01
