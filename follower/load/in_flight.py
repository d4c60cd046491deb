"""How many requests are in flight, counted as they come and go and not from the columns. Pure."""


class InFlight:
    """Count and mean over a window.

    The integral of the count over the window is the sum of all departures less the sum of all arrivals, each
    clipped to the window; so stamps may come in any order.
    """

    def __init__(self) -> None:
        self._start_ns = 0
        self._end_ns = 0
        self._area_ns = 0
        self.count = 0

    def count_from(self, window_start_ns: int, window_end_ns: int) -> None:
        """Sets the window; before anything enters."""
        self._start_ns = window_start_ns
        self._end_ns = window_end_ns

    def enter(self, now_ns: int) -> None:
        """A request was taken up."""
        self._area_ns -= self._clipped(now_ns)
        self.count += 1

    def leave(self, now_ns: int) -> None:
        """A request ended, however it did."""
        self._area_ns += self._clipped(now_ns)
        self.count -= 1

    def mean(self) -> float:
        """Mean count over the window, once everything has left."""
        return self._area_ns / (self._end_ns - self._start_ns)

    def _clipped(self, now_ns: int) -> int:
        if now_ns < self._start_ns:
            return self._start_ns
        return min(now_ns, self._end_ns)
