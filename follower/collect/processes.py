"""What process trees use: CPU time, resident memory, threads, context switches, storage I/O."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from follower.collect.ledger import Ledger
from follower.collect.proc import ProcessKey, ProcessStat, field_of, read_text, read_tree, thread_dirs
from follower.collect.sampled import Sampled
from shared.measure.manifest import ProcessReading

MOST_THREADS: Final = 128
"""Context switches stand in one file per thread, some 10 µs each; above so many threads they are not read."""

_SWITCHES: Final = ("voluntary_ctxt_switches", "nonvoluntary_ctxt_switches")


class ProcessCollector(Sampled[ProcessReading]):
    """A Collector of the trees below ``roots``, all together. Nothing is read once all of them are gone."""

    def __init__(self, name: str, roots: Sequence[int], proc: Path = Path("/proc")) -> None:
        super().__init__(name)
        self._roots = tuple(roots)
        self._proc = proc
        self._cpu: Ledger[ProcessKey] = Ledger()
        self._switches: Ledger[tuple[ProcessKey, str]] = Ledger()
        self._read_bytes: Ledger[ProcessKey] = Ledger()
        self._written_bytes: Ledger[ProcessKey] = Ledger()

    def _read(self, at_ns: int) -> Iterable[ProcessReading]:
        tree = read_tree(self._proc, self._roots)
        if not self._roots:
            self._miss("", "it runs no process of this follower")
            return
        if not tree:
            if not self.readings:
                self._miss("", f"process {', '.join(map(str, self._roots))} was gone")
            return
        threads = sum(stat.threads for stat in tree.values())
        moved = self._moved_bytes(tree)
        yield ProcessReading(
            at_ns=at_ns,
            cpu_ns=self._cpu.take({key: stat.cpu_ns for key, stat in tree.items()}),
            rss_bytes=sum(stat.rss_bytes for stat in tree.values()),
            threads=threads,
            context_switches=self._context_switches(tree, threads),
            read_bytes=moved and moved[0],
            written_bytes=moved and moved[1],
        )

    def _context_switches(self, tree: Mapping[ProcessKey, ProcessStat], threads: int) -> int | None:
        if threads > MOST_THREADS:
            self._miss("context_switches", f"{threads} threads; they are read of at most {MOST_THREADS}")
        if self._is_missing("context_switches"):
            return None
        counts = {(key, thread): count for key in tree for thread, count in self._of_threads(key)}
        return None if self._is_missing("context_switches") else self._switches.take(counts)

    def _of_threads(self, key: ProcessKey) -> Iterator[tuple[str, int]]:
        """/proc/PID/status speaks of the first thread only, so each is asked."""
        for thread in thread_dirs(self._proc, key[0]):
            try:
                status = read_text(f"{self._proc}/{key[0]}/task/{thread}/status")
            except OSError:  # it has just ended
                continue
            counts = [field_of(status, name) for name in _SWITCHES]
            if None in counts:
                self._miss("context_switches", "the kernel does not count them")
                return
            yield thread, sum(count or 0 for count in counts)

    def _moved_bytes(self, tree: Mapping[ProcessKey, ProcessStat]) -> tuple[int, int] | None:
        """Bytes read from and written to storage by all of them."""
        if self._is_missing("io"):
            return None
        moved = {key: self._moved_by(key[0]) for key in tree}
        if self._is_missing("io"):
            return None
        known = {key: counts for key, counts in moved.items() if counts is not None}
        read = self._read_bytes.take({key: counts[0] for key, counts in known.items()})
        written = self._written_bytes.take({key: counts[1] for key, counts in known.items()})
        return read, written

    def _moved_by(self, pid: int) -> tuple[int, int] | None:
        """None for a process that has just ended, and where the kernel does not tell."""
        try:
            text = read_text(f"{self._proc}/{pid}/io")
        except OSError as error:
            if (self._proc / str(pid)).exists():
                self._miss("io", str(error))
            return None
        read, written = field_of(text, "read_bytes"), field_of(text, "write_bytes")
        if read is None or written is None:
            self._miss("io", "the kernel does not count it")
            return None
        return read, written
