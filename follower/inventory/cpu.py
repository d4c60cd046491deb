"""The CPU as Linux describes it under /proc and /sys; ``root`` lets a test put its own tree there."""

import os
import re
from pathlib import Path

from pydantic import BaseModel, ConfigDict

_CACHE_UNITS = {"K": 1024, "M": 1024**2, "G": 1024**3}


class Cpu(BaseModel):
    """What the kernel says of the CPU. ``None`` means "not told here"."""

    model_config = ConfigDict(frozen=True)

    model: str
    logical_cores: int
    physical_cores: int | None
    caches: dict[str, int]  # "L2" -> bytes of one instance
    governor: str | None
    virtualization: str | None
    siblings: tuple[tuple[int, ...], ...]  # usable hardware threads, grouped by physical core


def read_cpu(root: Path = Path("/"), usable: frozenset[int] | None = None) -> Cpu:
    """Describe the cores that this process may run on (``usable``; by default its affinity mask)."""
    cores = frozenset(os.sched_getaffinity(0)) if usable is None else usable
    cpuinfo = _text(root / "proc/cpuinfo") or ""
    siblings = group_siblings({core: _sibling_list(root, core) for core in cores})
    return Cpu(
        model=_field(cpuinfo, "model name") or _field(cpuinfo, "Model") or "unknown",
        logical_cores=len(cores),
        physical_cores=len(siblings) if _topology_known(root, cores) else None,
        caches=_caches(root, min(cores)),
        governor=_text(root / f"sys/devices/system/cpu/cpu{min(cores)}/cpufreq/scaling_governor"),
        virtualization=_virtualization(root, cpuinfo),
        siblings=siblings,
    )


def group_siblings(lists: dict[int, tuple[int, ...]]) -> tuple[tuple[int, ...], ...]:
    """Core -> the threads of its physical core, as disjoint groups of the given cores, lowest first."""
    groups = {tuple(sorted({core, *lists[core]} & lists.keys())) for core in lists}
    return tuple(sorted(groups))


def parse_core_list(text: str) -> tuple[int, ...]:
    """The kernel's list format: ``"0-2,5"`` -> (0, 1, 2, 5)."""
    cores: list[int] = []
    for part in text.strip().split(","):
        if part:
            first, _, last = part.partition("-")
            cores.extend(range(int(first), int(last or first) + 1))
    return tuple(cores)


def cpu_quota_cores(root: Path = Path("/")) -> float | None:
    """Cores' worth of time that the control group allows; None without a limit."""
    text = _text(root / "sys/fs/cgroup/cpu.max")
    if text is None or text.startswith("max"):
        return None
    quota_us, period_us = text.split()
    return int(quota_us) / int(period_us)


def _sibling_list(root: Path, core: int) -> tuple[int, ...]:
    text = _text(root / f"sys/devices/system/cpu/cpu{core}/topology/thread_siblings_list")
    return parse_core_list(text) if text else (core,)


def _topology_known(root: Path, cores: frozenset[int]) -> bool:
    return all((root / f"sys/devices/system/cpu/cpu{core}/topology").is_dir() for core in cores)


def _caches(root: Path, core: int) -> dict[str, int]:
    caches = {}
    for index in sorted((root / f"sys/devices/system/cpu/cpu{core}/cache").glob("index*")):
        level, kind, size = (_text(index / name) for name in ("level", "type", "size"))
        match = re.fullmatch(r"(\d+)([KMG])?", size or "")
        if level and kind and match:
            suffix = {"Data": "d", "Instruction": "i"}.get(kind, "")
            caches[f"L{level}{suffix}"] = int(match[1]) * _CACHE_UNITS.get(match[2], 1)
    return caches


def _virtualization(root: Path, cpuinfo: str) -> str | None:
    """The hypervisor's name where firmware tells it, "virtual machine" where only the CPU flag shows it."""
    for name in ("sys/class/dmi/id/sys_vendor", "sys/hypervisor/type"):
        vendor = _text(root / name)
        if vendor and re.search(r"qemu|kvm|xen|vmware|amazon|google|microsoft", vendor, re.IGNORECASE):
            return vendor
    return "virtual machine" if " hypervisor" in (_field(cpuinfo, "flags") or "") else None


def _field(text: str, name: str) -> str | None:
    match = re.search(rf"^{re.escape(name)}\s*:\s*(.*)$", text, re.MULTILINE)
    return match[1].strip() if match else None


def _text(path: Path) -> str | None:
    try:
        return path.read_text().strip()
    except OSError:
        return None
