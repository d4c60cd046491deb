"""What every collector does alike: keep its readings, count what they cost, note what cannot be read."""

import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Generic, TypeVar

Reading = TypeVar("Reading")


class Sampled(ABC, Generic[Reading]):
    """A Collector whose readings come from ``_read``."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._readings: list[Reading] = []
        self._unavailable: dict[str, str] = {}
        self._cpu_ns = 0
        self._stopped = False

    @property
    def readings(self) -> Sequence[Reading]:
        return tuple(self._readings)

    @property
    def cpu_ns(self) -> int:
        return self._cpu_ns

    @property
    def unavailable(self) -> Mapping[str, str]:
        return dict(self._unavailable)

    def start(self) -> None:
        began_ns = time.thread_time_ns()
        try:
            self._open()
        except OSError as error:
            self._miss("", str(error))
        self._cpu_ns += time.thread_time_ns() - began_ns
        self.sample()

    def sample(self) -> None:
        began_ns = time.thread_time_ns()
        try:
            self._readings.extend(self._read(time.monotonic_ns()))
        except (OSError, ValueError, IndexError) as error:  # gone, or not in the format that we know
            self._miss("", f"{type(error).__name__}: {error}")
        self._cpu_ns += time.thread_time_ns() - began_ns

    def stop(self) -> None:
        if not self._stopped:
            self._stopped = True
            self.sample()
            self._close()

    @abstractmethod
    def _read(self, at_ns: int) -> Iterable[Reading]:
        """One round of readings."""

    def _open(self) -> None:
        """Before the first reading."""

    def _close(self) -> None:
        """After the last."""

    def _is_missing(self, what: str) -> bool:
        return f"{self._name}.{what}" in self._unavailable

    def _miss(self, what: str, why: str) -> None:
        """Notes the first reason for which ``what`` ("" for everything) cannot be read."""
        self._unavailable.setdefault(f"{self._name}.{what}" if what else self._name, why)
