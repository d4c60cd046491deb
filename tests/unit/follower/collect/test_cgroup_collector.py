"""The control group collector, on trees that the test writes in the kernel's formats, and on a real group."""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from follower.collect.cgroup import GroupCollector, files_of, groups_of, has_own_group, server_collector
from follower.collect.processes import ProcessCollector

MIB = 1 << 20
V1 = "4:memory:/docker/c1\n3:cpu,cpuacct:/docker/c1\n2:pids:/docker/c1\n1:blkio:/docker/c1\n0::/docker/c1\n"
V2 = "0::/system.slice/docker-c1.scope\n"


def write(root: Path, files: Mapping[str, str]) -> None:
    """Below /sys/fs/cgroup."""
    for name, text in files.items():
        path = root / "sys/fs/cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def process_in(root: Path, pid: int | str, groups: str) -> None:
    """A process's groups."""
    (root / f"proc/{pid}").mkdir(parents=True)
    (root / f"proc/{pid}/cgroup").write_text(groups)


def version_1(root: Path, *, cpu_ns: int, throttled_ns: int, read: int, written: int) -> None:
    """What a container's group has counted."""
    write(
        root,
        {
            "cpu/docker/c1/cpu.stat": f"nr_periods 9\nnr_throttled 2\nthrottled_time {throttled_ns}\n",
            "cpuacct/docker/c1/cpuacct.usage": f"{cpu_ns}\n",
            "memory/docker/c1/memory.usage_in_bytes": f"{300 * MIB}\n",
            "memory/docker/c1/memory.stat": f"cache 5\ninactive_file 1\ntotal_inactive_file {100 * MIB}\n",
            "pids/docker/c1/pids.current": "12\n",
            "blkio/docker/c1/blkio.throttle.io_service_bytes": (
                f"8:0 Read {read}\n8:0 Write {written}\n8:0 Total {read + written}\n9:0 Read 1\nTotal 7\n"
            ),
        },
    )


def version_2(root: Path, *, cpu_us: int, throttled_us: int, read: int, written: int) -> None:
    """The same in the unified hierarchy."""
    place = "system.slice/docker-c1.scope"
    write(
        root,
        {
            f"{place}/cpu.stat": f"usage_usec {cpu_us}\nuser_usec 1\nthrottled_usec {throttled_us}\n",
            f"{place}/memory.current": f"{300 * MIB}\n",
            f"{place}/memory.stat": f"anon 5\ninactive_file {100 * MIB}\n",
            f"{place}/pids.current": "12\n",
            f"{place}/io.stat": f"8:0 rbytes={read} wbytes={written} rios=1 wios=1\n9:0 rbytes=1 wbytes=0\n",
        },
    )


@pytest.mark.parametrize("version", [1, 2])
def test_a_group_is_read_as_one(tmp_path: Path, version: int) -> None:
    """CPU, throttling and bytes since the first reading; memory without idle page cache, and threads, as they are."""
    process_in(tmp_path, 10, V1 if version == 1 else V2)

    def counted(cpu_ms: int, throttled_ms: int, read: int, written: int) -> None:
        if version == 1:
            cpu_ns, throttled_ns = cpu_ms * 1_000_000, throttled_ms * 1_000_000
            version_1(tmp_path, cpu_ns=cpu_ns, throttled_ns=throttled_ns, read=read, written=written)
        else:
            cpu_us, throttled_us = cpu_ms * 1_000, throttled_ms * 1_000
            version_2(tmp_path, cpu_us=cpu_us, throttled_us=throttled_us, read=read, written=written)

    counted(5_000, 100, 4_096, 1)
    collector = GroupCollector("server", groups_of(10, tmp_path), tmp_path)
    collector.start()
    counted(5_250, 130, 8_192, 501)
    collector.stop()
    first, last = collector.readings
    assert (first.cpu_ns, first.throttled_ns, first.read_bytes, first.written_bytes) == (0, 0, 0, 0)
    assert (last.cpu_ns, last.throttled_ns) == (250_000_000, 30_000_000)
    assert (last.read_bytes, last.written_bytes) == (4_096, 500)
    assert (last.rss_bytes, last.threads) == (200 * MIB, 12)
    assert last.context_switches is None
    assert collector.unavailable == {"server.context_switches": "a control group does not count them"}


def test_the_hybrid_hierarchys_version_1_controllers_are_read(tmp_path: Path) -> None:
    """Its unified part has no counters."""
    process_in(tmp_path, 10, V1)
    (tmp_path / "sys/fs/cgroup/unified").mkdir(parents=True)
    files = files_of(groups_of(10, tmp_path), tmp_path)
    assert files.version == 1
    assert files.cpuacct == tmp_path / "sys/fs/cgroup/cpuacct/docker/c1"


def test_storage_that_is_not_counted_is_missing_and_not_zero(tmp_path: Path) -> None:
    """And the reason is told."""
    process_in(tmp_path, 10, V2)
    version_2(tmp_path, cpu_us=1, throttled_us=0, read=0, written=0)
    (tmp_path / "sys/fs/cgroup/system.slice/docker-c1.scope/io.stat").unlink()
    collector = GroupCollector("server", groups_of(10, tmp_path), tmp_path)
    collector.start()
    (reading,) = collector.readings
    assert (reading.read_bytes, reading.written_bytes) == (None, None)
    assert "server.io" in collector.unavailable


def test_a_group_that_ended_keeps_its_readings(tmp_path: Path) -> None:
    """The last reading comes after the container."""
    process_in(tmp_path, 10, V1)
    version_1(tmp_path, cpu_ns=1, throttled_ns=0, read=0, written=0)
    collector = GroupCollector("server", groups_of(10, tmp_path), tmp_path)
    collector.start()
    for path in sorted((tmp_path / "sys").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    collector.stop()
    assert len(collector.readings) == 1
    assert "server" not in collector.unavailable


def test_a_service_in_a_group_of_its_own_is_counted_by_it(tmp_path: Path) -> None:
    """One that shares ours, or that cannot be seen, is counted by its processes."""
    process_in(tmp_path, "self", "0::/user.slice\n")
    process_in(tmp_path, 10, V2)
    process_in(tmp_path, 11, "0::/user.slice\n")
    assert has_own_group(10, tmp_path)
    assert isinstance(server_collector([10], tmp_path), GroupCollector)
    for pids in ([11], [12], []):
        assert isinstance(server_collector(pids, tmp_path), ProcessCollector)


def test_a_child_of_ours_is_in_our_group() -> None:
    """So processes that this follower launches are read one by one, with their switches."""
    with subprocess.Popen(["sleep", "60"]) as child:
        assert isinstance(server_collector([child.pid]), ProcessCollector)
        child.kill()
    assert groups_of(os.getpid()) == groups_of("self")
