"""A /proc that a test writes itself, in the kernel's formats (proc(5), cgroups(7))."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from follower.collect.proc import NS_PER_TICK

TICKS_PER_S = 1_000_000_000 // NS_PER_TICK


@dataclass
class FakeHost:
    """The file system's root, of which only /proc and /sys/fs/cgroup are written."""

    root: Path

    @property
    def proc(self) -> Path:
        return self.root / "proc"

    def cores(self, *busy_and_steal_s: tuple[float, float]) -> None:
        """/proc/stat: for each core seconds of work, spread over all kinds of it, and seconds stolen."""
        lines = ["cpu  1 2 3 4 5 6 7 8 9 9"]
        for core, (busy_s, steal_s) in enumerate(busy_and_steal_s):
            ticks = round(busy_s * TICKS_PER_S)
            user, rest = ticks // 2, ticks - ticks // 2
            fields = [user, rest // 5, rest - rest // 5 - 2 * (rest // 10), 999, 99, rest // 10, rest // 10]
            stolen = round(steal_s * TICKS_PER_S)
            lines.append(" ".join(map(str, (f"cpu{core}", *fields, stolen, 77, 7))))
        self._write(self.proc / "stat", "\n".join([*lines, "intr 12345 0 0", "ctxt 99"]) + "\n")

    def process(
        self,
        pid: int,
        *,
        cpu_s: float = 0.0,
        pages: int = 1,
        name: str = "a ) strange (name",
        started: int = 100,
        children: Sequence[int] = (),
        threads: Sequence[int] | None = None,
        switches: tuple[int, int] | None = (0, 0),
        io: tuple[int, int] | None = (0, 0),
    ) -> None:
        """A process; ``threads`` are their ids, ``switches`` of each of them, ``io`` bytes read and written."""
        threads = [pid] if threads is None else threads
        utime = round(cpu_s * TICKS_PER_S) // 3
        stime = round(cpu_s * TICKS_PER_S) - utime
        head = f"S 1 {pid} {pid} 0 -1 4194560 100 0 0 0 {utime} {stime} 5555 6666 20 0 {len(threads)} 0"
        self._write(
            self.proc / str(pid) / "stat", f"{pid} ({name}) {head} {started} 123456 {pages} 18446744073709551615\n"
        )
        for thread in threads:
            folder = self.proc / str(pid) / "task" / str(thread)
            born = " ".join(map(str, children)) if thread == threads[0] else ""
            self._write(folder / "children", f"{born} ")
            counts = (
                switches and f"voluntary_ctxt_switches:\t{switches[0]}\nnonvoluntary_ctxt_switches:\t{switches[1]}\n"
            )
            self._write(folder / "status", f"Name:\tx\nThreads:\t{len(threads)}\n{counts or ''}")
        if io is not None:
            self._write(
                self.proc / str(pid) / "io",
                f"rchar: 9\nread_bytes: {io[0]}\nwrite_bytes: {io[1]}\ncancelled_write_bytes: 3\n",
            )

    def end(self, pid: int) -> None:
        """The process is gone."""
        for path in sorted((self.proc / str(pid)).rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        (self.proc / str(pid)).rmdir()

    def groups(self, text: str) -> None:
        """/proc/self/cgroup."""
        self._write(self.proc / "self" / "cgroup", text)

    def group(self, path: str, cpu_stat: str) -> None:
        """``cpu.stat`` of a control group, below /sys/fs/cgroup."""
        self._write(self.root / "sys/fs/cgroup" / path / "cpu.stat", cpu_stat)

    def _write(self, path: Path, text: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
