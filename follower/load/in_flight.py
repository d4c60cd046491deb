"""How many requests are in flight, counted as they come and go and not from the columns. Pure."""


class InFlight:
    """Count, peak, and mean over a window.

    The integral of the count over the window is the sum of all departures less the sum of all arrivals, each
    clipped to the window; so stamps may come in any order.
    """

    def __init__(self, window_start_ns: int, window_end_ns: int) -> None:
        self._start_ns = window_start_ns
        self._end_ns = window_end_ns
        self._area_ns = 0
        self.count = 0
        self.peak = 0

    def enter(self, now_ns: int) -> None:
        """A request was taken up."""
        self._area_ns -= min(max(now_ns, self._start_ns), self._end_ns)
        self.count += 1
        self.peak = max(self.peak, self.count)

    def leave(self, now_ns: int) -> None:
        """A request ended, however it did."""
        self._area_ns += min(max(now_ns, self._start_ns), self._end_ns)
        self.count -= 1

    def mean(self) -> float:
        """Mean count over the window, once everything has left."""
        return self._area_ns / (self._end_ns - self._start_ns)
