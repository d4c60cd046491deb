"""A control group's own counters, where a service has a group to itself: a container. cgroups(7), versions 1 and 2.

Files rather than the engine's statistics, which come once a second and cost it more than a reading costs us.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from follower.collect.ledger import Ledger
from follower.collect.proc import read_text
from follower.collect.processes import ProcessCollector
from follower.collect.protocol import Collector
from follower.collect.sampled import Sampled
from follower.collect.throttling import throttled_ns_of
from shared.measure.manifest import ProcessReading

NO_SWITCHES: Final = "a control group does not count them"
NO_STORAGE: Final = "its control group does not count them"
_MOUNT: Final = "sys/fs/cgroup"
_NS_PER_US: Final = 1_000


@dataclass(frozen=True, kw_only=True)
class GroupFiles:
    """Where one group's counters stand. ``version``: of the hierarchy, 1 or 2; in 2 all are in one folder."""

    version: int
    cpu: Path
    cpuacct: Path
    memory: Path
    pids: Path
    blkio: Path


def groups_of(pid: int | str, root: Path = Path("/")) -> Mapping[str, str]:
    """Controller -> the group that a process is in; "" is version 2's hierarchy. Empty for a process that is gone."""
    try:
        lines = read_text(root / f"proc/{pid}/cgroup").splitlines()
    except OSError:
        return {}
    parts = (line.split(":", 2) for line in lines)
    return {name: path for _number, controllers, path in parts for name in controllers.split(",")}


def files_of(groups: Mapping[str, str], root: Path = Path("/")) -> GroupFiles:
    """Version 1 where its controllers are mounted (a hybrid host has both), else version 2."""
    mount = root / _MOUNT
    if "memory" in groups:
        names = ("cpu", "cpuacct", "memory", "pids", "blkio")
        places = {name: _placed(mount / name, groups.get(name, groups["memory"])) for name in names}
        return GroupFiles(version=1, **places)
    unified = mount / "unified" if (mount / "unified").is_dir() else mount
    place = _placed(unified, groups.get("", "/"))
    return GroupFiles(version=2, cpu=place, cpuacct=place, memory=place, pids=place, blkio=place)


def has_own_group(pid: int, root: Path = Path("/")) -> bool:
    """Whether a process is in another group than this one: then somebody else, an engine, made it one of its own."""
    groups = groups_of(pid, root)
    return bool(groups) and groups != groups_of("self", root)


def server_collector(pids: Sequence[int], root: Path = Path("/")) -> Collector[ProcessReading]:
    """The Collector of a service: of its control group where it has its own, else of its process trees."""
    if pids and has_own_group(pids[0], root):
        return GroupCollector("server", groups_of(pids[0], root), root)
    return ProcessCollector("server", pids, root / "proc")


class GroupCollector(Sampled[ProcessReading]):
    """A Collector of one control group, everything in it together."""

    def __init__(self, name: str, groups: Mapping[str, str], root: Path = Path("/")) -> None:
        super().__init__(name)
        self._files = files_of(groups, root)
        self._counters: Ledger[str] = Ledger()
        self._throttled: Ledger[str] = Ledger()
        self._read_bytes: Ledger[str] = Ledger()
        self._written_bytes: Ledger[str] = Ledger()

    def _open(self) -> None:
        self._miss("context_switches", NO_SWITCHES)

    def _read(self, at_ns: int) -> Iterable[ProcessReading]:
        if not self._files.memory.is_dir() and self.readings:  # the last reading comes after the service's end
            return
        moved = self._moved_bytes()
        throttled_ns = throttled_ns_of(read_text(self._files.cpu / "cpu.stat"))
        yield ProcessReading(
            at_ns=at_ns,
            cpu_ns=self._counters.take({"cpu": self._cpu_ns_used()}),
            rss_bytes=self._memory_bytes(),
            threads=int(read_text(self._files.pids / "pids.current")),
            read_bytes=moved and self._read_bytes.take({"": moved[0]}),
            written_bytes=moved and self._written_bytes.take({"": moved[1]}),
            throttled_ns=None if throttled_ns is None else self._throttled.take({"": throttled_ns}),
        )

    def _cpu_ns_used(self) -> int:
        if self._files.version == 1:
            return int(read_text(self._files.cpuacct / "cpuacct.usage"))
        return _numbers(read_text(self._files.cpu / "cpu.stat"))["usage_usec"] * _NS_PER_US

    def _memory_bytes(self) -> int:
        """What it holds, without page cache that nobody has used lately: the kernel takes that back at will."""
        counts = _numbers(read_text(self._files.memory / "memory.stat"))
        if self._files.version == 1:
            held = int(read_text(self._files.memory / "memory.usage_in_bytes"))
            return held - counts["total_inactive_file"]
        return int(read_text(self._files.memory / "memory.current")) - counts["inactive_file"]

    def _moved_bytes(self) -> tuple[int, int] | None:
        """Bytes read from and written to storage."""
        version_1 = self._files.version == 1
        try:
            text = read_text(self._files.blkio / ("blkio.throttle.io_service_bytes" if version_1 else "io.stat"))
        except OSError:
            self._miss("io", NO_STORAGE)
            return None
        pairs = list(_operations_v1(text) if version_1 else _operations_v2(text))
        return sum(n for name, n in pairs if name == "read"), sum(n for name, n in pairs if name == "write")


def _placed(folder: Path, group: str) -> Path:
    return folder.joinpath(*[name for name in group.split("/") if name not in {"", ".."}])


def _numbers(text: str) -> dict[str, int]:
    """Of a file whose lines are "name number"."""
    pairs = (line.split() for line in text.splitlines())
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2}  # noqa: PLR2004 - name, number


def _operations_v1(text: str) -> Iterator[tuple[str, int]]:
    """Of lines "8:0 Read 4096"."""
    for line in text.splitlines():
        words = line.split()
        if len(words) == 3:  # noqa: PLR2004 - the last line is the total
            yield words[1].lower(), int(words[2])


def _operations_v2(text: str) -> Iterator[tuple[str, int]]:
    """Of lines "8:0 rbytes=4096 wbytes=0 ..."."""
    names = {"rbytes": "read", "wbytes": "write"}
    for line in text.splitlines():
        for word in line.split()[1:]:
            key, _, value = word.partition("=")
            if key in names:
                yield names[key], int(value)
