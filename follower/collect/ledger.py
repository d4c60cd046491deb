"""Sums the counters of things that come and go. Pure."""

from collections.abc import Hashable, Mapping
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)


class Ledger(Generic[Key]):
    """What counters have grown by since the first round, all together.

    One that appears later counts from its birth, from 0; one that is gone keeps what it had at its last reading.
    """

    def __init__(self) -> None:
        self._last: dict[Key, int] = {}
        self._total = 0
        self._begun = False

    def take(self, counters: Mapping[Key, int]) -> int:
        """One round of counters; the sum of all growth so far."""
        for key, value in counters.items():
            before = self._last.get(key, 0 if self._begun else value)
            self._total += max(0, value - before)
            self._last[key] = value
        self._begun = True
        return self._total
