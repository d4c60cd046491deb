"""Foreign time, steal and throttling, on a host that the test writes itself and on this one."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.proc_tree import FakeHost

from follower.collect.host import NO_QUOTA_COUNTER, HostCollector
from follower.collect.throttling import throttle_files, throttled_ns_of
from shared.measure.resources import summarize_host

SECOND = 1_000_000_000
V1 = "nr_periods 10\nnr_throttled 2\nthrottled_time {}\n"
V2 = "usage_usec 5\nnr_periods 10\nnr_throttled 2\nthrottled_usec {}\n"


def test_foreign_is_what_the_cores_did_less_what_we_did(tmp_path: Path) -> None:
    """Three seconds of work on two cores, of which our tree did one and the agent half a one."""
    host = FakeHost(tmp_path)
    host.cores((10, 1), (20, 0), (70, 5))
    host.process(10, cpu_s=100, children=[11])
    host.process(11, cpu_s=50)
    host.process(5, cpu_s=7, children=[10, 99])
    host.process(99, cpu_s=1_000)
    collector = HostCollector({0, 1}, own_trees=[10], own_alone=[5], root=tmp_path)
    collector.start()
    host.cores((12, 1.25), (21, 0.25), (99, 9))
    host.process(10, cpu_s=100.25, children=[11])
    host.process(11, cpu_s=50.75)
    host.process(5, cpu_s=7.5, children=[10, 99])
    host.process(99, cpu_s=1_001.5)
    collector.stop()
    first, last = collector.readings
    assert (first.foreign_ns, first.steal_ns) == (0, 0)
    assert last.foreign_ns == pytest.approx(1.5 * SECOND, abs=5e7)
    assert last.steal_ns == pytest.approx(0.5 * SECOND, abs=2e7)
    assert last.throttled_ns is None
    assert collector.unavailable == {"host.throttled": NO_QUOTA_COUNTER}


def test_a_process_of_two_roots_is_ours_once(tmp_path: Path) -> None:
    """The agent is the attempt's parent and may be named beside it."""
    host = FakeHost(tmp_path)
    host.cores((0, 0))
    host.process(10, cpu_s=0)
    collector = HostCollector({0}, own_trees=[10, 10], own_alone=[10], root=tmp_path)
    collector.start()
    host.cores((2, 0))
    host.process(10, cpu_s=1)
    collector.stop()
    assert collector.readings[-1].foreign_ns == pytest.approx(SECOND, abs=2e7)


def test_cores_that_are_not_there_leave_no_reading(tmp_path: Path) -> None:
    """The reason is kept; nothing is raised into the run."""
    host = FakeHost(tmp_path)
    host.cores((1, 0))
    collector = HostCollector({5}, own_trees=[], root=tmp_path)
    collector.start()
    collector.stop()
    assert collector.readings == ()
    assert "[5]" in collector.unavailable["host"]


@pytest.mark.parametrize(
    ("groups", "path", "cpu_stat", "grown"),
    [
        ("0::/pod/box\n", "pod/box", V2, 2_500_000),
        ("0::/pod/box\n", "pod", V2, 2_500_000),
        ("4:cpu,cpuacct:/docker/abc\n0::/\n", "cpu,cpuacct/docker/abc", V1, 2_500_000_000),
        ("4:cpu:/docker/abc\n0::/\n", "cpu", V1, 2_500_000_000),
        ("0::/../../elsewhere\n", "", V2, 2_500_000),
    ],
    ids=["v2", "v2, quota above us", "v1", "v1, our own name not mounted", "v2, outside our namespace"],
)
def test_throttled_time_is_found_in_either_kind_of_control_group(
    tmp_path: Path, groups: str, path: str, cpu_stat: str, grown: int
) -> None:
    """In ours or in one above it, in ns since the first reading."""
    host = FakeHost(tmp_path)
    host.cores((0, 0))
    host.groups(groups)
    host.group(path, cpu_stat.format(1_000))
    collector = HostCollector({0}, own_trees=[], root=tmp_path)
    collector.start()
    host.group(path, cpu_stat.format(1_000 + grown))
    collector.stop()
    assert [reading.throttled_ns for reading in collector.readings] == [0, 2_500_000_000]
    assert collector.unavailable == {}


def test_one_group_under_two_names_counts_once(tmp_path: Path) -> None:
    """Version 1 has a link "cpu" to "cpu,cpuacct"."""
    host = FakeHost(tmp_path)
    host.groups("4:cpu,cpuacct:/\n")
    host.group("cpu,cpuacct", V1.format(5))
    (tmp_path / "sys/fs/cgroup/cpu").symlink_to("cpu,cpuacct")
    assert len(throttle_files(tmp_path)) == 1


def test_a_group_without_the_counter_is_none(tmp_path: Path) -> None:
    """Version 2's root has no quota and says nothing of throttling."""
    host = FakeHost(tmp_path)
    host.groups("0::/\n")
    host.group("", "usage_usec 5\nuser_usec 4\n")
    assert throttle_files(tmp_path) == ()
    assert throttle_files(tmp_path / "nowhere") == ()
    assert throttled_ns_of("usage_usec 5\n") is None


def test_a_foreign_process_on_our_cores_shows_and_our_own_does_not() -> None:
    """The same burner, once as a stranger and once as ours, on this machine."""
    core = max(os.sched_getaffinity(0))
    burn = f"import os\nos.sched_setaffinity(0, [{core}])\nprint(flush=True)\nwhile True: pass"
    with subprocess.Popen([sys.executable, "-I", "-c", burn], stdout=subprocess.PIPE) as burner:
        assert burner.stdout is not None
        burner.stdout.readline()
        stranger = HostCollector({core}, own_trees=[])
        ours = HostCollector({core}, own_trees=[burner.pid])
        for collector in (stranger, ours):
            collector.start()
        time.sleep(1.0)
        for collector in (stranger, ours):
            collector.stop()
        burner.kill()
    with_it = summarize_host(stranger.readings, 0, 2**63, None, 1).foreign_share
    without = summarize_host(ours.readings, 0, 2**63, None, 1).foreign_share
    assert with_it is not None
    assert without is not None
    assert with_it > 0.9
    assert with_it - without > 0.2  # it gets its share of a core that others may use too
