"""What a golden server does with each request: times by a known law, and faults in a known order. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

Fault = Literal[
    "",  # none
    "http-500",  # a whole answer that says the server failed; gRPC: status INTERNAL
    "reset",  # the connection is torn down (RST) instead of an answer; gRPC: the server cancels the call
    "close-early",  # half an answer, then the end of the stream
    "hang",  # no answer, the connection stays
    "malformed",  # not an answer of the protocol at all
    "wrong-body",  # a whole answer whose body is not an infer response
    "trickle",  # the right answer, a few bytes at a time, ``trickle_ms`` apart
    "half-open",  # the right answer; from then on the machine at the other end is gone: no acknowledgement, no reset
]

TRICKLE_PIECES: Final = 20
"""Into how many pieces a trickled answer falls."""


@dataclass(frozen=True, kw_only=True)
class Behaviour:
    """What the server does with the n-th infer request, n from 1 over all connections."""

    service_ms: float = 1.0  # 0: answers at once
    sigma: float = 0.0  # above 0: log-normal service time with median service_ms and this sigma of its logarithm
    seed: int = 7  # of the log-normal draws
    serial: bool = False  # one at a time, in order of receiving: the capacity is 1000 / service_ms per second
    stall_s: float = 0.0  # frozen for so long at the end of every period, counted from the first request
    period_s: float = 1.0
    faults: tuple[Fault, ...] = ("",)  # of requests 1, 2, 3 ...; over again from the first once all had their turn
    trickle_ms: float = 100.0  # between two of the TRICKLE_PIECES pieces of a trickled answer
    pieces: int = 1  # every answer goes out in so many writes, ``piece_gap_ms`` apart
    piece_gap_ms: float = 0.0
    chunked: bool = False
    close_each: bool = False  # closes every connection after its first answer
    announces_close: bool = True  # and says so in that answer
    filler_bytes: int = 0  # a second output of this size in each answer
    reports: bool = True  # says in each answer how long it queued and served
    keeps_journal: bool = True
    spin_us: float = 0.0  # burns its core so long before an answer is due, to send it on the microsecond
    never_sleeps: bool = False  # burns its core all the time: no request and no answer waits for it to wake (HTTP)
    connection_age_s: float = 0.0  # gRPC: above 0, says GOAWAY on each connection at this age

    def fault_of(self, n: int) -> Fault:
        """What is wrong with the answer to request ``n``."""
        return self.faults[(n - 1) % len(self.faults)]


NULL: Final = Behaviour(service_ms=0, reports=False, keeps_journal=False)
"""Answers at once, always with the same bytes."""


def fixed(service_ms: float, *, spin_us: float = 0.0) -> Behaviour:
    """Every request takes the same time, however many are in flight."""
    return Behaviour(service_ms=service_ms, spin_us=spin_us)


def stalling(*, service_ms: float = 1.0, stall_s: float = 1.0, period_s: float = 6.0) -> Behaviour:
    """Frozen for ``stall_s`` in every ``period_s``."""
    return Behaviour(service_ms=service_ms, stall_s=stall_s, period_s=period_s)


def log_normal(median_ms: float, sigma: float, *, seed: int = 7, spin_us: float = 0.0) -> Behaviour:
    """Service times are median * exp(sigma * z), z standard normal; the q-quantile is median * exp(sigma * z_q)."""
    return Behaviour(service_ms=median_ms, sigma=sigma, seed=seed, spin_us=spin_us)


def limited(capacity_rps: float) -> Behaviour:
    """One request at a time, each for 1 / capacity: under Poisson arrivals an M/D/1 queue."""
    return Behaviour(service_ms=1000 / capacity_rps, serial=True)


def injector(faults: Mapping[Fault, int], *, of: int, service_ms: float = 1.0) -> Behaviour:
    """In every ``of`` requests, each fault as often as it says; faults spread over the cycle, the rest is right.

    Raises:
        ValueError: there are more faults than requests.
    """
    wanted: list[Fault] = [fault for fault, count in faults.items() for _ in range(count)]
    if len(wanted) > of:
        raise ValueError(f"{len(wanted)} faults do not fit into {of} requests")
    cycle: list[Fault] = [""] * of
    for place, fault in enumerate(wanted):
        cycle[(place + 1) * of // len(wanted) - 1] = fault
    return Behaviour(faults=tuple(cycle), service_ms=service_ms)


def every(nth: int, fault: Fault) -> tuple[Fault, ...]:
    """Every ``nth`` request gets the fault, the others none: for ``Behaviour.faults``."""
    none: tuple[Fault, ...] = ("",)
    return none * (nth - 1) + (fault,)
