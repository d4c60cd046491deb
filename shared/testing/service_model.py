"""When a request that is received at a moment starts and ends, in whole nanoseconds of any clock. Pure but for draws.

The same model decides the times of a real golden server and of a run in virtual time.
"""

import math
import random

from shared.testing.behaviour import Behaviour

_NS_PER_MS = 1e6
_NS_PER_S = 1e9


class ServiceModel:
    """Asked once per request, in the order of receiving."""

    def __init__(self, behaviour: Behaviour) -> None:
        self._service_ns = behaviour.service_ms * _NS_PER_MS
        self._sigma = behaviour.sigma
        self._serial = behaviour.serial
        self._stall_ns = round(behaviour.stall_s * _NS_PER_S)
        self._period_ns = round(behaviour.period_s * _NS_PER_S)
        self._random = random.Random(behaviour.seed)  # noqa: S311 - a service time is no secret
        self._first_ns: int | None = None
        self._free_at_ns = 0

    def times(self, received_ns: int) -> tuple[int, int]:
        """Start and end of service for a request received now; periods count from the first request."""
        if self._first_ns is None:
            self._first_ns = received_ns
        service_ns = self._service_ns
        if self._sigma:
            service_ns *= math.exp(self._random.gauss(0.0, self._sigma))
        start_ns = self._thawed(max(received_ns, self._free_at_ns) if self._serial else received_ns)
        end_ns = self._thawed(start_ns + round(service_ns))
        self._free_at_ns = end_ns
        return start_ns, end_ns

    def _thawed(self, moment_ns: int) -> int:
        """The moment, or the end of the stall into which it falls."""
        if not self._stall_ns or self._first_ns is None:
            return moment_ns
        phase_ns = (moment_ns - self._first_ns) % self._period_ns
        frozen = phase_ns >= self._period_ns - self._stall_ns
        return moment_ns + self._period_ns - phase_ns if frozen else moment_ns
