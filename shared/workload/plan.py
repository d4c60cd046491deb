"""A plan: a run's workload, frozen before the start; replayable bit for bit from its seed."""

import hashlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, kw_only=True)
class Plan:
    """When each request is due, and which payload it carries.

    Open loop: ``due_ns`` holds one due time per request, ascending, from 0, over warm-up and window; equal times are
    allowed, as in an offline plan. Closed loop: ``due_ns`` is empty and ``concurrency`` requests are kept in flight
    until the end; ``payload`` is then the order in which payloads are taken, repeated as often as needed.

    The window is [warmup_ns, warmup_ns + duration_ns): a request belongs to it if it is due inside.

    ``rate_rps`` is what is offered by the clock, as a mean over the window: the job file's rate for constant and
    Poisson arrivals, and for every other law the requests due inside the window over its length, because a law with
    bursts or swings may offer far more or less than its long-run mean there. It is None for a closed loop and for an
    offline plan, which offers everything at one moment.
    """

    pattern: str
    seed: int
    warmup_ns: int
    duration_ns: int
    due_ns: npt.NDArray[np.int64]  # shape (n,)
    payload: npt.NDArray[np.int32]  # shape (n,), or the rotation of a closed loop
    concurrency: int | None = None  # 0 only in a slice that has nothing to do
    think_time_ns: int = 0  # closed loop: between an answer and the slot's next request
    max_in_flight: int | None = None  # open loop: a declared cap; a request that waits for it is late
    rate_rps: float | None = None

    @property
    def end_ns(self) -> int:
        return self.warmup_ns + self.duration_ns

    @property
    def sha256(self) -> str:
        """Digest of everything that decides what is sent when."""
        head = (
            self.pattern,
            self.warmup_ns,
            self.duration_ns,
            self.concurrency,
            self.think_time_ns,
            self.max_in_flight,
        )
        digest = hashlib.sha256(repr(head).encode())
        digest.update(self.due_ns.astype("<i8").tobytes())
        digest.update(self.payload.astype("<i4").tobytes())
        return digest.hexdigest()
