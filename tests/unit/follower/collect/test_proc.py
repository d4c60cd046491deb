"""The kernel's files in the kernel's words: what is read out of them, and what is no file of that kind."""

import os
from pathlib import Path

import psutil
import pytest
from support.proc_tree import FakeHost

from follower.collect.ledger import Ledger
from follower.collect.proc import (
    NS_PER_TICK,
    PAGE_BYTES,
    CoreTimes,
    ProcessStat,
    field_of,
    parse_core_times,
    parse_stat,
    read_text,
    read_tree,
)

STAT = "7 (a ) strange (name) S 1 7 7 0 -1 4194560 100 0 0 0 11 22 33 44 20 0 5 0 4711 9999 12 0 0\n"
CORES = """cpu  100 10 50 9000 7 1 2 3 0 0
cpu0 60 5 30 4000 4 1 1 2 0 0
cpu1 40 5 20 5000 3 0 1 1 9 9
intr 123
"""


def test_a_process_is_read_behind_its_name() -> None:
    """User and system time without the children's, threads, start and pages, though the name has brackets."""
    expected = ProcessStat(key=(7, 4711), cpu_ns=33 * NS_PER_TICK, threads=5, rss_bytes=12 * PAGE_BYTES)
    assert parse_stat(STAT) == expected


@pytest.mark.parametrize("text", ["", "7 (x) S 1", "seven (x) S 1 2 3"])
def test_another_format_is_an_error_and_no_number(text: str) -> None:
    """A line that is cut short, or no line of that kind."""
    with pytest.raises((ValueError, IndexError)):
        parse_stat(text)


def test_only_the_named_cores_count() -> None:
    """Neither idle nor waiting nor guests, which user time holds already; steal stands apart."""
    assert parse_core_times(CORES, {0}) == CoreTimes((60 + 5 + 30 + 1 + 1) * NS_PER_TICK, 2 * NS_PER_TICK)
    assert parse_core_times(CORES, {0, 1}) == CoreTimes(163 * NS_PER_TICK, 3 * NS_PER_TICK)


def test_cores_that_are_not_there_are_an_error() -> None:
    """Zero would say that they were idle."""
    with pytest.raises(ValueError, match="cores"):
        parse_core_times(CORES, {7})


def test_a_field_is_found_by_its_whole_name() -> None:
    """``write_bytes`` is not the end of ``cancelled_write_bytes``."""
    text = "cancelled_write_bytes: 3\nwrite_bytes: 70 kB\n"
    assert field_of(text, "write_bytes") == 70
    assert field_of(text, "write") is None
    assert field_of(text, "read_bytes") is None


def test_a_tree_is_its_roots_and_all_below_each_once(tmp_path: Path) -> None:
    """Children of any thread; a root that is another's child, and one that is gone."""
    host = FakeHost(tmp_path)
    host.process(10, children=[11, 12], threads=[10, 20])
    host.process(11, children=[13])
    host.process(12)
    host.process(13)
    host.process(14)
    assert sorted(pid for pid, _ in read_tree(host.proc, [10, 13, 99])) == [10, 11, 12, 13]


def test_this_process_is_read_as_psutil_reads_it() -> None:
    """An independent reader of the same files."""
    me = psutil.Process()
    found = next(stat for stat in read_tree(Path("/proc"), [me.pid]).values() if stat.key[0] == me.pid)
    times = me.cpu_times()
    assert found.cpu_ns / 1e9 == pytest.approx(times.user + times.system, abs=0.1)
    assert found.threads == me.num_threads()
    assert found.rss_bytes == pytest.approx(me.memory_info().rss, rel=0.05)


def test_this_machines_cores_have_worked() -> None:
    """The kernel here writes what the reader expects."""
    assert parse_core_times(read_text("/proc/stat"), os.sched_getaffinity(0)).busy_ns > 0


def test_a_ledger_counts_from_its_first_round() -> None:
    """What was before does not count, what is born later counts from zero."""
    ledger: Ledger[str] = Ledger()
    assert ledger.take({"old": 100}) == 0
    assert ledger.take({"old": 105, "new": 7}) == 12


def test_a_ledger_keeps_what_is_gone_and_does_not_count_it_twice() -> None:
    """A process that could not be read for one round is the same one afterwards."""
    ledger: Ledger[str] = Ledger()
    ledger.take({"a": 0, "b": 0})
    assert ledger.take({"a": 5, "b": 1}) == 6
    assert ledger.take({"b": 1}) == 6
    assert ledger.take({"a": 6, "b": 1}) == 7


def test_a_counter_that_goes_back_takes_nothing_off() -> None:
    """The kernel corrects a process's CPU time by a tick now and then."""
    ledger: Ledger[str] = Ledger()
    ledger.take({"a": 0})
    assert ledger.take({"a": 9}) == 9
    assert ledger.take({"a": 8}) == 9
