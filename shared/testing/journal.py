"""What a golden server really did, one line per infer request, in monotonic ns comparable within a machine."""

import json
import time
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from shared.testing.behaviour import Behaviour, Fault
from shared.testing.service_model import ServiceModel

NEVER: Final = -1


class Done(NamedTuple):
    """One line, as it is read."""

    n: int
    received_ns: int
    started_ns: int
    answered_ns: int  # just before the last write of the answer; NEVER if there was none
    fault: str
    connection: int  # number of the connection it came on, from 1


class Entry:
    """One line, as it is written."""

    __slots__ = ("answered_ns", "connection", "end_ns", "fault", "n", "received_ns", "started_ns")

    def __init__(self, n: int, received_ns: int, times: tuple[int, int], fault: Fault, connection: int) -> None:
        self.n = n
        self.received_ns = received_ns
        self.started_ns, self.end_ns = times
        self.answered_ns = NEVER
        self.fault = fault
        self.connection = connection

    def report(self) -> tuple[tuple[str, int], ...]:
        """What the answer says of it, as it is about to be written."""
        now_ns = time.monotonic_ns()
        return (
            ("inferbench-queue-ns", self.started_ns - self.received_ns),
            ("inferbench-inference-ns", now_ns - self.started_ns),
            ("inferbench-total-ns", now_ns - self.received_ns),
        )


class Journal:
    """Gives every request its number, its times and its fault, and keeps what became of it."""

    def __init__(self, behaviour: Behaviour) -> None:
        self._behaviour = behaviour
        self._model = ServiceModel(behaviour)
        self._entries: list[Entry] = []
        self._count = 0

    def open(self, received_ns: int, connection: int) -> Entry:
        """A request has been read."""
        self._count += 1
        n = self._count
        entry = Entry(n, received_ns, self._model.times(received_ns), self._behaviour.fault_of(n), connection)
        if self._behaviour.keeps_journal:
            self._entries.append(entry)
        return entry

    def text(self) -> str:
        """All lines as one line of JSON."""
        return json.dumps([[getattr(entry, name) for name in Done._fields] for entry in self._entries])


def read_journal(text: str) -> list[Done]:
    """The lines of ``Journal.text``."""
    return [Done(*line) for line in json.loads(text)]


def served_ns(journal: Sequence[Done]) -> npt.NDArray[np.int64]:
    """From receiving to answering, of the requests that were answered, in the order of receiving: shape (n,)."""
    served: list[Any] = [done.answered_ns - done.received_ns for done in journal if done.answered_ns != NEVER]
    return np.array(served, dtype=np.int64)
