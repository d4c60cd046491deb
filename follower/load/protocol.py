"""The seam between a plan and what happened: plan -> sender -> columns. Analysis never runs in here.

A sender works in a process of its own on the client cores. It gets one ``LoadRequest`` and leaves one Parquet
file with the columns of ``shared.measure.columns``; it decides nothing about the meaning of a number.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from shared.jobs.pipeline import PipelineSpec
from shared.workload.plan import Plan


@dataclass(frozen=True, kw_only=True)
class HttpTarget:
    """Where every request goes."""

    host: str
    port: int
    path: str  # "/v2/models/NAME/infer"


@dataclass(frozen=True, kw_only=True)
class EncodedRequest:
    """A request made ahead of the run: header lines without the blank line, and the body."""

    headers: bytes
    body: bytes


@dataclass(frozen=True, kw_only=True)
class LoadRequest:
    """Everything a sender needs; picklable.

    Either ``encoded`` holds one finished request per payload (nothing to pre-process), or ``raw`` holds the
    payloads' raw sample bytes (``raw[payload]`` is one batch) and ``pipeline`` is applied per request, timed.
    """

    plan: Plan
    target: HttpTarget
    encoded: Sequence[EncodedRequest] = ()
    raw: Sequence[Sequence[bytes]] = ()
    pipeline: PipelineSpec
    input_name: str
    input_datatype: str
    output_name: str
    labels: Sequence[str] = ()  # the model card's, for post-processing
    request_timeout_ns: int
    client_cores: Sequence[int]
    own_core: bool = False  # nothing that is measured runs on client_cores, so that waiting may burn one
    samples_path: Path


@dataclass(frozen=True, kw_only=True)
class LoadOutcome:
    """What a sender leaves behind beside the Parquet file."""

    origin_ns: int  # CLOCK_MONOTONIC at which the plan's zero fell
    end_ns: int
    max_in_flight: int
    mean_in_flight: float | None = None  # over the window, counted apart from the columns
    answers: Sequence[object]  # per payload one tuple with each sample's post-processed answer; None where none came
    pids: Sequence[int]


class Sender(Protocol):
    """Runs a plan to its end."""

    def run(
        self,
        request: LoadRequest,
        *,
        on_start: Callable[[int, Sequence[int]], None],  # (origin_ns, sender pids), when the first request is due
        keep_going: Callable[[], None],  # called a few times a second; raises to stop the load
    ) -> LoadOutcome: ...
