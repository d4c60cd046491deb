"""What a calibration holds for: the shape of the load, and the host. Pure."""

import hashlib
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict

from follower.calibrate.replies import Script
from follower.load.protocol import LoadRequest
from shared.measure.windows import is_all_at_once

OPEN_LOOP_CONNECTIONS: Final = 16
"""An open loop's need of connections is not known ahead. So many, as are opened ahead, keep a client busy: more add
nothing to what it can send."""

MOST_CONNECTIONS: Final = 1_024
"""Of a load that is due all at once without a cap."""


class Fact(BaseModel):
    """Strict, and never changed."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Host(Fact):
    """What may move the figures of one follower's host; a reboot counts."""

    boot_id: str
    kernel: str
    cpu_model: str
    governor: str | None
    versions: dict[str, str]  # of Python and of our own packages


class Shape(Fact):
    """Loads of one shape share a calibration: sizes count up to the next power of two."""

    protocol: Literal["http", "grpc"]
    request_bytes: int
    response_bytes: int
    closes: bool  # each answer ends its connection
    connections: int
    client_cores: tuple[int, ...]
    server_cores: tuple[int, ...]
    own_core: bool
    kernel_timestamps: bool
    open_rate_rps: int | None  # of the plan, up to the next power of two
    work_sha256: str | None  # of the client's own work on a request; None where it has none

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()


def shape_of(request: LoadRequest, script: Script, server_cores: tuple[int, ...]) -> Shape:
    """The shape of a load."""
    rate_rps = request.plan.rate_rps
    return Shape(
        protocol=script.protocol,
        request_bytes=power_of_two(script.request_bytes),
        response_bytes=power_of_two(len(script.response)),
        closes=script.closes,
        connections=connections_of(request),
        client_cores=tuple(request.client_cores),
        server_cores=server_cores,
        own_core=request.own_core,
        kernel_timestamps=request.kernel_timestamps,
        open_rate_rps=None if rate_rps is None else power_of_two(max(1, round(rate_rps))),
        work_sha256=_work_digest(request) if request.raw or request.server_pipeline else None,
    )


def connections_of(request: LoadRequest) -> int:
    """As many as the load keeps in flight; of an open loop that is spread out a constant, unless it declares fewer."""
    plan = request.plan
    if plan.concurrency is not None:
        return plan.concurrency
    most = OPEN_LOOP_CONNECTIONS
    if is_all_at_once(plan):
        most = min(int((plan.due_ns >= plan.warmup_ns).sum()), MOST_CONNECTIONS)
    return min(most, plan.max_in_flight or most)


def power_of_two(value: int) -> int:
    """The least power of two that is not below ``value``; 0 stays 0."""
    return 1 << (value - 1).bit_length() if value > 0 else 0


def _work_digest(request: LoadRequest) -> str:
    """Pre- and post-processing cost the client what the ops and the samples' sizes make them cost."""
    sizes = [power_of_two(len(sample)) for sample in (*request.raw, ())[0]]
    return hashlib.sha256(f"{request.pipeline.model_dump_json()} {sizes}".encode()).hexdigest()
