"""Runs against queues in virtual time, as the columns and the plan that a sender would have left. Truth for law tests.

Nothing of the product decides anything here; it only gives the columns their names.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from support.samples import ORIGIN_NS
from support.virtual_server import responses

from shared.measure.columns import CAME_LATER, COLUMNS, ERROR_KINDS, NOT_AVAILABLE, Columns
from shared.measure.manifest import Circumstances
from shared.workload.plan import Plan

Seconds = npt.NDArray[np.float64]
Services = Callable[[np.random.Generator, int], Seconds]
"""Service times of a mean of one."""


def exponential(draw: np.random.Generator, n: int) -> Seconds:
    """M/M/1: coefficient of variation 1."""
    return draw.exponential(1.0, n)


def deterministic(_: np.random.Generator, n: int) -> Seconds:
    """M/D/1: all alike."""
    return np.ones(n)


def log_normal(draw: np.random.Generator, n: int) -> Seconds:
    """M/G/1 with a squared coefficient of variation of 2."""
    sigma = np.sqrt(np.log(3.0))
    return draw.lognormal(-(sigma**2) / 2, sigma, n)


SERVICES: dict[str, Services] = {"M/M/1": exponential, "M/D/1": deterministic, "M/G/1": log_normal}


@dataclass(frozen=True)
class Run:
    """What a run leaves for its analysis."""

    columns: Columns
    plan: Plan
    circumstances: Circumstances


def queue_run(
    seed: int, services: Services, *, utilisation: float, requests: int, rate: float = 100.0, warmup_s: float = 2.0
) -> Run:
    """Poisson arrivals at a server that was idle before; about ``requests`` of them fall into the window."""
    draw = np.random.default_rng(seed)
    end_s = warmup_s + requests / rate
    due_s = arrivals(draw, rate, end_s)
    return run_of(due_s, responses(due_s, services(draw, len(due_s)) * utilisation / rate), warmup_s, end_s, rate=rate)


def arrivals(draw: np.random.Generator, rate: float, end_s: float) -> Seconds:
    """A Poisson process over [0, end_s)."""
    due_s = np.cumsum(draw.exponential(1 / rate, int(rate * end_s + 8 * np.sqrt(rate * end_s)) + 16))
    return due_s[due_s < end_s]


def run_of(
    due_s: Seconds, latency_s: Seconds, warmup_s: float, end_s: float, *, pattern: str = "poisson",
    rate: float | None = None, concurrency: int | None = None, failed: npt.NDArray[np.bool_] | None = None,
) -> Run:  # fmt: skip
    """Every request taken up when it was due, and ready after its latency; failures give up after theirs."""
    due_ns = np.rint(np.asarray(due_s) * 1e9).astype(np.int64)
    done_ns = due_ns + np.maximum(np.rint(np.asarray(latency_s) * 1e9).astype(np.int64), 1)
    plan = Plan(
        pattern=pattern, seed=1, warmup_ns=round(warmup_s * 1e9), duration_ns=round((end_s - warmup_s) * 1e9),
        due_ns=due_ns if concurrency is None else np.zeros(0, dtype=np.int64),
        payload=np.zeros(len(due_ns), dtype=np.int32), rate_rps=rate, concurrency=concurrency,
    )  # fmt: skip
    columns = _columns(due_ns + ORIGIN_NS, done_ns + ORIGIN_NS)
    if failed is not None:
        columns["error"][failed] = ERROR_KINDS.index("timeout")
        columns["last_byte_ns"][failed] = NOT_AVAILABLE
    return Run(columns, plan, Circumstances(origin_ns=ORIGIN_NS, max_in_flight=1))


def _columns(due_ns: npt.NDArray[np.int64], done_ns: npt.NDArray[np.int64]) -> dict[str, npt.NDArray[np.int64]]:
    columns = {name: np.zeros(len(due_ns), dtype=kind) for name, kind in COLUMNS.items()}
    for name in ("due_ns", "start_ns", "send_start_ns", "send_end_ns"):
        columns[name] = due_ns.copy()
    for name in ("first_byte_ns", "last_byte_ns", "done_ns"):
        columns[name] = done_ns.copy()
    columns["server_inference_ns"] = done_ns - due_ns
    for name in ("wire_ns", *CAME_LATER):
        columns[name] = np.full(len(due_ns), NOT_AVAILABLE)
    columns["batch_size"] = np.ones(len(due_ns), dtype=np.int32)
    return columns
