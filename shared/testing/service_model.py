"""When a request that is received at a moment starts and ends, in whole nanoseconds of any clock. Pure but for draws.

The same model decides the times of a real golden server and of a run in virtual time.
"""

import numpy as np
import numpy.typing as npt

from shared.testing.behaviour import Behaviour

_NS_PER_MS = 1e6
_NS_PER_S = 1e9
_BLOCK = 1024  # draws at a time: one alone would take the server longer than its bookkeeping


class ServiceModel:
    """Asked once per request, in the order of receiving."""

    def __init__(self, behaviour: Behaviour) -> None:
        self._service_ns = behaviour.service_ms * _NS_PER_MS
        self._sigma = behaviour.sigma
        self._serial = behaviour.serial
        self._stall_ns = round(behaviour.stall_s * _NS_PER_S)
        self._period_ns = round(behaviour.period_s * _NS_PER_S)
        self._draw = np.random.default_rng(behaviour.seed)
        self._drawn: list[float] = []
        self._first_ns: int | None = None
        self._free_at_ns = 0

    def times(self, received_ns: int) -> tuple[int, int]:
        """Start and end of service for a request received now; periods count from the first request."""
        if self._first_ns is None:
            self._first_ns = received_ns
        service_ns = self._next_service_ns() if self._sigma else self._service_ns
        start_ns = self._thawed(max(received_ns, self._free_at_ns) if self._serial else received_ns)
        end_ns = self._thawed(start_ns + round(service_ns))
        self._free_at_ns = end_ns
        return start_ns, end_ns

    def independent_ns(self, count: int) -> npt.NDArray[np.int64]:
        """The service times of the next ``count`` requests, for a server that is neither serial nor ever stalls."""
        return np.rint(self._services_ns(count)).astype(np.int64)

    def _next_service_ns(self) -> float:
        if not self._drawn:
            self._drawn = self._services_ns(_BLOCK)[::-1].tolist()
        return self._drawn.pop()

    def _services_ns(self, count: int) -> npt.NDArray[np.float64]:
        if not self._sigma:
            return np.full(count, self._service_ns)
        return self._service_ns * np.exp(self._sigma * self._draw.standard_normal(count))

    def _thawed(self, moment_ns: int) -> int:
        """The moment, or the end of the stall into which it falls."""
        if not self._stall_ns or self._first_ns is None:
            return moment_ns
        phase_ns = (moment_ns - self._first_ns) % self._period_ns
        frozen = phase_ns >= self._period_ns - self._stall_ns
        return moment_ns + self._period_ns - phase_ns if frozen else moment_ns
