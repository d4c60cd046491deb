"""A lane: threads that take calls in order, die with the process, and never hide that they broke."""

import queue
import threading
from collections.abc import Callable


class Lane:
    """Calls wait only for those before them in the same lane.

    Unlike a pool's, these threads do not hold up the end of the process: a call that hangs then is not worth waiting
    for. ``on_broken`` is called where a call raised, which none should.
    """

    def __init__(self, name: str, on_broken: Callable[[str], None], *, threads: int = 1) -> None:
        self._name = name
        self._on_broken = on_broken
        self._calls: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        for number in range(threads):
            threading.Thread(target=self._serve, name=f"{name}-{number}", daemon=True).start()

    def submit(self, call: Callable[[], None]) -> None:
        """Have ``call`` made, soon."""
        self._calls.put(call)

    def _serve(self) -> None:
        try:
            while True:
                self._calls.get()()
        finally:  # only an exception leads here; it goes on to the thread's hook, which prints it
            self._on_broken(self._name)
