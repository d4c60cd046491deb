"""The contract of a collector: something that is read a few times a second while a run is measured.

Obligations of every implementation:

* ``sample`` returns within a millisecond or so: it runs on the client's cores, beside the sender.
* Readings carry CLOCK_MONOTONIC, so that they can be cut to the window afterwards.
* What cannot be read is missing from the readings, never zero.
"""

from typing import Protocol

from shared.measure.record import Resources


class Collector(Protocol):
    """Reads until it is told to stop."""

    def start(self) -> None:
        """Takes the first reading."""
        ...

    def sample(self) -> None:
        """Takes one more."""
        ...

    def stop(self) -> None:
        """Takes the last one."""
        ...

    def summary(self, start_ns: int | None = None, end_ns: int | None = None) -> Resources:
        """The use between two moments; of the whole time where none is given."""
        ...
