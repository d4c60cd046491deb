"""The CPU as read from a machine that the test describes in files."""

from pathlib import Path

from follower.inventory.cpu import cpu_quota_cores, group_siblings, parse_core_list, read_cpu


def machine(root: Path, siblings: dict[int, str]) -> Path:
    """A machine with hardware threads as given, as /proc and /sys would show it."""
    write(root / "proc/cpuinfo", "processor\t: 0\nmodel name\t: Example 3000\nflags\t\t: fpu hypervisor sse\n")
    for core, threads in siblings.items():
        cpu = root / f"sys/devices/system/cpu/cpu{core}"
        write(cpu / "topology/thread_siblings_list", threads)
        write(cpu / "cpufreq/scaling_governor", "powersave")
        for index, (level, kind, size) in enumerate([(1, "Data", "32K"), (2, "Unified", "1M"), (3, "Unified", "32M")]):
            for name, text in (("level", str(level)), ("type", kind), ("size", size)):
                write(cpu / f"cache/index{index}/{name}", text)
    return root


def write(path: Path, text: str) -> None:
    """A file of the kernel: one line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text + "\n")


def test_threads_of_one_core_are_counted_as_one_physical_core(tmp_path: Path) -> None:
    """Four hardware threads on two cores."""
    cpu = read_cpu(machine(tmp_path, {0: "0,2", 1: "1,3", 2: "0,2", 3: "1,3"}), frozenset({0, 1, 2, 3}))
    assert (cpu.logical_cores, cpu.physical_cores) == (4, 2)
    assert cpu.siblings == ((0, 2), (1, 3))


def test_only_the_cores_that_may_be_used_count(tmp_path: Path) -> None:
    """A container or an affinity mask makes the machine smaller."""
    cpu = read_cpu(machine(tmp_path, {0: "0,2", 1: "1,3", 2: "0,2", 3: "1,3"}), frozenset({1, 2}))
    assert cpu.siblings == ((1,), (2,))


def test_names_caches_and_governor_are_read(tmp_path: Path) -> None:
    """Sizes come out in bytes; split first-level caches keep their letter."""
    cpu = read_cpu(machine(tmp_path, {0: "0"}), frozenset({0}))
    assert cpu.model == "Example 3000"
    assert cpu.caches == {"L1d": 32 * 1024, "L2": 1024**2, "L3": 32 * 1024**2}
    assert cpu.governor == "powersave"
    assert cpu.virtualization == "virtual machine"


def test_what_is_not_told_is_none_and_not_zero(tmp_path: Path) -> None:
    """A bare container shows little; nothing is made up for it."""
    cpu = read_cpu(tmp_path, frozenset({0, 1}))
    assert cpu.model == "unknown"
    assert (cpu.physical_cores, cpu.governor, cpu.virtualization, cpu.caches) == (None, None, None, {})
    assert cpu.siblings == ((0,), (1,))
    assert cpu_quota_cores(tmp_path) is None


def test_a_control_groups_quota_is_read_in_cores(tmp_path: Path) -> None:
    """150 ms of every 100 ms is one core and a half."""
    write(tmp_path / "sys/fs/cgroup/cpu.max", "150000 100000")
    assert cpu_quota_cores(tmp_path) == 1.5
    write(tmp_path / "sys/fs/cgroup/cpu.max", "max 100000")
    assert cpu_quota_cores(tmp_path) is None


def test_core_lists_are_read_as_the_kernel_writes_them() -> None:
    """Single numbers and ranges, separated by commas."""
    assert parse_core_list("0-2,5,7-8\n") == (0, 1, 2, 5, 7, 8)
    assert parse_core_list("") == ()


def test_groups_hold_each_core_once() -> None:
    """Whatever order the threads are listed in."""
    assert group_siblings({3: (1, 3), 1: (3, 1), 0: (0,)}) == ((0,), (1, 3))
