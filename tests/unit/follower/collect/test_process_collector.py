"""The process collector on trees that the test writes, and on real ones that burn, hold, switch and die."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from support.proc_tree import FakeHost

from follower.collect.proc import PAGE_BYTES
from follower.collect.processes import MOST_THREADS, ProcessCollector

BURN = "import time\nend = time.process_time() + 0.5\nwhile time.process_time() < end: pass\nprint(flush=True)\ninput()"
HOLD = "block = b'x' * 50_000_000\nprint(flush=True)\ninput()"
SWITCH = "import time\nfor _ in range(200): time.sleep(0.0005)\nprint(flush=True)\ninput()"
WRITE = (
    "import os, sys\nfile = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT)\n"
    "os.write(file, os.urandom(1_000_000))\nos.fsync(file)\nprint(flush=True)\ninput()"
)
PARENT = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {BURN!r}])"


@contextmanager
def python(code: str, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """A Python process that runs ``code``; it says a line when it is done and ends at the end."""
    command = [sys.executable, "-I", "-c", code, *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.kill()


def wait_for_line(process: subprocess.Popen[bytes]) -> None:
    """Until the process has done its work."""
    assert process.stdout is not None
    process.stdout.readline()


def spent_s(collector: ProcessCollector) -> float:
    """CPU seconds between the first and the last reading."""
    return (collector.readings[-1].cpu_ns - collector.readings[0].cpu_ns) / 1e9


def test_a_tree_is_read_as_one(tmp_path: Path) -> None:
    """CPU, switches and bytes since the first reading; memory and threads as they are."""
    host = FakeHost(tmp_path)
    host.process(10, cpu_s=5, pages=3, children=[11], threads=[10, 20], switches=(100, 10), io=(1_000, 50))
    host.process(11, cpu_s=1, pages=4, switches=(7, 1), io=(10, 20))
    collector = ProcessCollector("server", [10], host.proc)
    collector.start()
    host.process(10, cpu_s=5.5, pages=2, children=[11], threads=[10, 20], switches=(101, 12), io=(1_500, 50))
    host.process(11, cpu_s=2, pages=4, switches=(8, 1), io=(10, 60))
    collector.stop()
    first, last = collector.readings
    assert (first.cpu_ns, first.context_switches, first.read_bytes, first.written_bytes) == (0, 0, 0, 0)
    assert last.cpu_ns == 1_500_000_000
    assert (last.rss_bytes, last.threads) == (6 * PAGE_BYTES, 3)
    assert last.context_switches == 2 * 3 + 1
    assert (last.read_bytes, last.written_bytes) == (500, 40)
    assert collector.unavailable == {}


def test_a_number_that_is_given_anew_is_another_process(tmp_path: Path) -> None:
    """It is counted from its own birth, and the dead one's time is kept."""
    host = FakeHost(tmp_path)
    host.process(10, cpu_s=0, children=[11])
    host.process(11, cpu_s=3, started=100)
    collector = ProcessCollector("server", [10], host.proc)
    collector.start()
    host.process(11, cpu_s=4, started=100)
    collector.sample()
    host.process(11, cpu_s=1, started=200)
    collector.stop()
    assert [reading.cpu_ns for reading in collector.readings] == [0, 1_000_000_000, 2_000_000_000]


def test_io_that_we_may_not_read_is_missing_with_its_reason(tmp_path: Path) -> None:
    """Of the whole tree, and not the sum of the rest; everything else is there."""
    host = FakeHost(tmp_path)
    host.process(10, children=[11], io=(5, 5))
    host.process(11, io=None)
    collector = ProcessCollector("server", [10], host.proc)
    collector.start()
    assert collector.readings[0].read_bytes is collector.readings[0].written_bytes is None
    assert collector.readings[0].context_switches == 0
    assert list(collector.unavailable) == ["server.io"]
    assert "No such file" in collector.unavailable["server.io"]


def test_a_kernel_that_does_not_count_switches_or_bytes_is_told_apart_from_zero(tmp_path: Path) -> None:
    """Both are missing, each with a reason."""
    host = FakeHost(tmp_path)
    host.process(10, switches=None)
    (host.proc / "10" / "io").write_text("rchar: 5\n")
    collector = ProcessCollector("client", [10], host.proc)
    collector.start()
    collector.sample()
    assert all(reading.context_switches is None for reading in collector.readings)
    assert all(reading.read_bytes is None for reading in collector.readings)
    assert set(collector.unavailable) == {"client.context_switches", "client.io"}


def test_switches_of_very_many_threads_are_not_read(tmp_path: Path) -> None:
    """They would cost more than a sample may."""
    host = FakeHost(tmp_path)
    host.process(10, threads=range(10, 10 + MOST_THREADS + 1))
    collector = ProcessCollector("server", [10], host.proc)
    collector.start()
    assert collector.readings[0].context_switches is None
    assert str(MOST_THREADS + 1) in collector.unavailable["server.context_switches"]


def test_a_tree_that_is_gone_leaves_no_reading(tmp_path: Path) -> None:
    """Neither zero bytes nor zero threads."""
    host = FakeHost(tmp_path)
    host.process(10)
    collector = ProcessCollector("server", [10], host.proc)
    collector.start()
    host.end(10)
    collector.stop()
    assert len(collector.readings) == 1
    assert collector.unavailable == {}


def test_a_tree_that_was_never_there_is_missing_with_its_reason(tmp_path: Path) -> None:
    """Nothing else would tell it from one that was not looked at."""
    collector = ProcessCollector("server", [10], FakeHost(tmp_path).proc)
    collector.start()
    collector.stop()
    assert collector.readings == ()
    assert collector.unavailable == {"server": "process 10 was gone"}


def test_a_process_is_charged_for_what_it_burns() -> None:
    """Half a second of CPU time, to a few ticks."""
    with python(BURN) as process:
        collector = ProcessCollector("server", [process.pid])
        collector.start()
        wait_for_line(process)
        collector.stop()
    assert spent_s(collector) == pytest.approx(0.5, abs=0.15)


def test_a_child_born_later_is_part_of_its_parents_tree() -> None:
    """The parent only waits; what is measured is its child's."""
    with python(PARENT) as process:
        collector = ProcessCollector("server", [process.pid])
        collector.start()
        wait_for_line(process)
        collector.stop()
        for child in psutil.Process(process.pid).children():
            child.kill()
    assert spent_s(collector) == pytest.approx(0.5, abs=0.15)


def test_memory_is_what_is_held_at_the_reading() -> None:
    """50 MB, within the interpreter's own size."""
    with python(HOLD) as process:
        wait_for_line(process)
        collector = ProcessCollector("server", [process.pid, process.pid])
        collector.start()
    assert 50_000_000 < collector.readings[0].rss_bytes < 100_000_000


def test_switches_are_those_that_the_kernel_counts() -> None:
    """Two hundred sleeps give the core away two hundred times; psutil reads the same of a single thread."""
    with python(SWITCH) as process:
        before = psutil.Process(process.pid).num_ctx_switches()
        collector = ProcessCollector("server", [process.pid])
        collector.start()
        wait_for_line(process)
        collector.stop()
        after = psutil.Process(process.pid).num_ctx_switches()
    counted = collector.readings[-1].context_switches
    assert counted is not None
    assert 150 <= counted <= after.voluntary + after.involuntary - before.voluntary - before.involuntary


def test_what_is_written_to_storage_is_counted(tmp_path: Path) -> None:
    """A megabyte, in whole pages; or the kernel says why not."""
    with python(WRITE, str(tmp_path / "block")) as process:
        collector = ProcessCollector("server", [process.pid])
        collector.start()
        wait_for_line(process)
        collector.stop()
    written = collector.readings[-1].written_bytes
    assert written is None or written == pytest.approx(1_000_000, rel=0.02) or written == 0  # a file system in memory
    assert (written is None) == ("server.io" in collector.unavailable)


def test_a_sleeper_costs_nothing() -> None:
    """And an idle process is not charged for being looked at."""
    with python("input()") as process:
        time.sleep(0.3)
        collector = ProcessCollector("server", [process.pid])
        collector.start()
        collector.sample()
        collector.stop()
    assert spent_s(collector) < 0.05
