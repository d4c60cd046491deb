"""The attempt's story: one JSON line per event on standard output, for the agent to pass on."""

from collections.abc import Callable
from typing import Any

from shared.clock import Clock
from shared.wire.assignment import ProgressEvent


class Story:
    """Numbers events from 1 and writes each as it happens."""

    def __init__(self, write_line: Callable[[str], None], clock: Clock) -> None:
        self._write_line = write_line
        self._clock = clock
        self._told = 0

    def tell(self, kind: str, message: str, **data: Any) -> None:
        """One event, with figures in ``data``."""
        self._told += 1
        event = ProgressEvent(n=self._told, at=self._clock.utc_now(), kind=kind, message=message, data=data)
        self._write_line(event.model_dump_json())
