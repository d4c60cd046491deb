"""A plan: a run's workload, frozen before the start; replayable bit for bit from its seed."""

import hashlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, kw_only=True)
class Plan:
    """When each request is due, and which payload it carries.

    Open loop: ``due_ns`` holds one due time per request, ascending, from 0, over warm-up and window.
    Closed loop: ``due_ns`` is empty and ``concurrency`` requests are kept in flight until the end; ``payload`` is
    then the order in which payloads are taken, repeated as often as needed.

    The window is [warmup_ns, warmup_ns + duration_ns): a request belongs to it if it is due inside.
    """

    pattern: str
    seed: int
    warmup_ns: int
    duration_ns: int
    due_ns: npt.NDArray[np.int64]  # shape (n,)
    payload: npt.NDArray[np.int32]  # shape (n,), or the rotation of a closed loop
    concurrency: int | None = None
    think_time_ns: int = 0  # closed loop: between an answer and the slot's next request
    max_in_flight: int | None = None  # open loop: a declared cap; a request that waits for it is late
    rate_rps: float | None = None  # offered, mean over the window; None where nothing is offered by the clock

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
