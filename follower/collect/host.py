"""What others take of the slot's cores while we measure: foreign processes, other virtual machines, a CPU quota."""

from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Final

from follower.collect.ledger import Ledger
from follower.collect.proc import ProcessKey, parse_core_times, parse_stat, read_text, read_tree
from follower.collect.sampled import Sampled
from follower.collect.throttling import read_throttled_ns, throttle_files
from shared.measure.manifest import HostReading

NO_QUOTA_COUNTER: Final = "no control group of ours counts throttled time"


class HostCollector(Sampled[HostReading]):
    """A Collector of the time of ``cores``.

    Foreign is what the cores were busy with less what we used: the trees below ``own_trees``, and the processes
    ``own_alone`` without their children. The kernel counts interrupts' work for whoever they interrupt; where it keeps
    that apart (IRQ_TIME_ACCOUNTING) it is foreign here.
    """

    def __init__(
        self,
        cores: Collection[int],
        own_trees: Sequence[int],
        own_alone: Sequence[int] = (),
        root: Path = Path("/"),
    ) -> None:
        super().__init__("host")
        self._cores = frozenset(cores)
        self._trees, self._alone = tuple(own_trees), tuple(own_alone)
        self._root = root
        self._proc = root / "proc"
        self._own: Ledger[ProcessKey] = Ledger()
        self._busy: Ledger[None] = Ledger()
        self._steal: Ledger[None] = Ledger()
        self._throttled: Ledger[None] = Ledger()
        self._throttle_files: tuple[Path, ...] = ()

    def _open(self) -> None:
        self._throttle_files = throttle_files(self._root)
        if not self._throttle_files:
            self._miss("throttled", NO_QUOTA_COUNTER)

    def _read(self, at_ns: int) -> Iterable[HostReading]:
        own_ns = self._own.take(self._own_cpu_ns())
        cores = parse_core_times(read_text(self._proc / "stat"), self._cores)
        throttled_ns = read_throttled_ns(self._throttle_files)
        yield HostReading(
            at_ns=at_ns,
            foreign_ns=self._busy.take({None: cores.busy_ns}) - own_ns,
            steal_ns=self._steal.take({None: cores.steal_ns}),
            throttled_ns=None if throttled_ns is None else self._throttled.take({None: throttled_ns}),
        )

    def _own_cpu_ns(self) -> dict[ProcessKey, int]:
        own = {key: stat.cpu_ns for key, stat in read_tree(self._proc, self._trees).items()}
        for pid in self._alone:
            try:
                stat = parse_stat(read_text(self._proc / str(pid) / "stat"))
            except OSError:  # gone
                continue
            own.setdefault(stat.key, stat.cpu_ns)
        return own
