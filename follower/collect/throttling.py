"""Time for which our control group's CPU quota held our threads back: cgroup v2's throttled_usec, v1's throttled_time.

The kernel sums it over the cores, and counts it in the group that has the quota: ours, or one above it.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from follower.collect.proc import read_text

_V1_KEY: Final = "throttled_time"  # in ns
_V2_KEY: Final = "throttled_usec"


def throttle_files(root: Path = Path("/")) -> tuple[Path, ...]:
    """``cpu.stat`` of our control group and of those above it that can be seen; none where there is no such counter."""
    try:
        groups = read_text(root / "proc/self/cgroup")
    except OSError:
        return ()
    seen = dict.fromkeys(
        path.resolve() for folder, group in _hierarchies(root, groups) for path in _upwards(folder, group)
    )
    return tuple(path for path in seen if path.is_file() and throttled_ns_of(read_text(path)) is not None)


def throttled_ns_of(cpu_stat: str) -> int | None:
    """From the text of a ``cpu.stat``; None where it does not tell."""
    values = dict(line.split() for line in cpu_stat.splitlines() if len(line.split()) == 2)  # noqa: PLR2004 - name, value
    if _V2_KEY in values:
        return int(values[_V2_KEY]) * 1_000
    return int(values[_V1_KEY]) if _V1_KEY in values else None


def read_throttled_ns(files: tuple[Path, ...]) -> int | None:
    """Of all the groups together, since they were made; None where there is none.

    Raises:
        OSError: a group has gone.
    """
    if not files:
        return None
    return sum(throttled_ns_of(read_text(path)) or 0 for path in files)


def _hierarchies(root: Path, groups: str) -> Iterator[tuple[Path, str]]:
    """Where the cpu controller's groups are, and which is ours (cgroups(7): "id:controllers:path" a line)."""
    mounted = root / "sys/fs/cgroup"
    for line in groups.splitlines():
        _number, controllers, path = line.split(":", 2)
        if "cpu" in controllers.split(","):
            yield from ((mounted / name, path) for name in (controllers, "cpu") if (mounted / name).is_dir())
        elif not controllers:
            yield (mounted / "unified" if (mounted / "unified").is_dir() else mounted), path


def _upwards(folder: Path, group: str) -> Iterator[Path]:
    """From the group to the root; a name that is not mounted here (a container's) is passed over."""
    names = [name for name in group.split("/") if name not in {"", ".."}]
    for depth in range(len(names), -1, -1):
        yield folder.joinpath(*names[:depth]) / "cpu.stat"
