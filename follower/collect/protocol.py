"""The contract of a collector: something that is read a few times a second while a run is measured.

Obligations of every implementation:

* It has no thread: whoever measures calls ``sample``, which returns within a millisecond or so and never raises,
  because it runs on the client's cores beside the sender.
* Readings carry CLOCK_MONOTONIC, ascending, so that they can be cut to a window afterwards.
* What cannot be read is missing from the readings, never zero, and ``unavailable`` says why.
* It counts the CPU time that it costs itself.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol, TypeVar

Reading_co = TypeVar("Reading_co", covariant=True)


class Collector(Protocol[Reading_co]):
    """Reads until it is told to stop."""

    def start(self) -> None:
        """Takes the first reading, from which counters count."""
        ...

    def sample(self) -> None:
        """Takes one more."""
        ...

    def stop(self) -> None:
        """Takes the last one and lets go of what is held; calling it twice is harmless."""
        ...

    @property
    def readings(self) -> Sequence[Reading_co]:
        """All readings so far, of one of the kinds of ``shared.measure.manifest``."""
        ...

    @property
    def cpu_ns(self) -> int:
        """CPU time that all readings so far have cost this thread."""
        ...

    @property
    def unavailable(self) -> Mapping[str, str]:
        """What could not be read -> why."""
        ...
