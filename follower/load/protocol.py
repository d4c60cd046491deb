"""The seam between a plan and what happened: plan -> sender -> columns. Analysis never runs in here.

Senders work in processes of their own on the client cores, one for each. They get one ``LoadRequest`` and leave the
columns of ``shared.measure.columns``; they decide nothing about the meaning of a number.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from follower.serve.protocol import DialectName
from follower.serve.secure import SecretHeader, Tls
from shared.errors import AttemptFailed
from shared.jobs.endpoint_api import TemplateApi
from shared.jobs.feeding import Feed
from shared.jobs.lifecycle import Cause
from shared.jobs.pipeline import PipelineSpec
from shared.measure.columns import Columns
from shared.workload.plan import Plan


@dataclass(frozen=True, kw_only=True)
class Target:
    """Where every request goes."""

    host: str
    port: int
    path: str  # "/v2/models/NAME/infer"; for gRPC "/inference.GRPCInferenceService/ModelInfer"
    dialect: DialectName = "openinference-http"
    model_name: str = ""  # gRPC names the model inside the message
    authority: str = ""  # host and port as requests name them; "": host and port above
    numbered: bool = False  # requests have room for a number; dialects of the Open Inference Protocol only
    template: TemplateApi | None = None  # of dialect template-http
    tls: Tls | None = None  # None: in the clear
    secret: SecretHeader | None = None  # to be sent with every request

    @property
    def protocol(self) -> Literal["http", "grpc"]:
        """What frames its exchanges."""
        return "grpc" if self.dialect.endswith("-grpc") else "http"


@dataclass(frozen=True, kw_only=True)
class LoadRequest:
    """Everything a sender needs; picklable.

    Either ``encoded`` holds one finished request per payload (what ``Codec.start`` takes; nothing to pre-process), or
    ``raw`` holds the payloads' raw sample bytes (``raw[payload]`` is one batch) and ``pipeline`` is applied per
    request, timed.

    With ``server_pipeline`` the server applies the pipeline: ``encoded`` carries raw samples, and the answers are read,
    because they are what the samples mean.
    """

    plan: Plan
    target: Target
    encoded: Sequence[bytes] = ()
    raw: Sequence[Sequence[bytes]] = ()
    pipeline: PipelineSpec
    server_pipeline: bool = False
    feeds: Sequence[Feed] = ()  # which input gets what of ``raw``
    tokenizer: str | None = None  # the model's own, where the pipeline asks for it
    output_name: str
    labels: Sequence[str] = ()  # the model card's, for post-processing
    request_timeout_ns: int
    client_cores: Sequence[int]
    own_core: bool = False  # nothing that is measured runs on client_cores, so that waiting may burn one
    folder: Path  # for what the senders and their parent share
    kernel_timestamps: bool = False  # take wire_ns from the kernel, where it can be had


@dataclass(frozen=True, kw_only=True)
class LoadOutcome:
    """What the senders leave behind."""

    origin_ns: int  # CLOCK_MONOTONIC at which the plan's zero fell
    end_ns: int
    columns: Columns  # of all workers, ordered by due time, then worker
    max_in_flight: int  # of all workers together
    mean_in_flight: float | None = None  # over the planned window, counted apart from the columns
    answers: Sequence[object]  # per payload one tuple with each sample's post-processed answer; None where none came
    pids: Sequence[int]
    workers: int = 1
    numbers: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    """Of each row of ``columns``, what its request was numbered; shape (n,)."""
    notes: Sequence[str] = field(default_factory=tuple)  # such as: kernel time stamps are not to be had, because ...


class SenderFailed(AttemptFailed):
    """A sender broke in mid-run. What all of them had written until then is evidence, not a result."""

    def __init__(self, cause: Cause, detail: str, *, log_tail: str, columns: Columns, origin_ns: int) -> None:
        super().__init__(cause, detail, log_tail=log_tail)
        self.columns = columns  # rows that had ended, merged as in LoadOutcome
        self.origin_ns = origin_ns


class LiveRows(Protocol):
    """The samples of a run that is still going on."""

    def take(self) -> Columns:
        """The rows of the requests that ended since the last call."""
        ...


class Sender(Protocol):
    """Runs a plan to its end."""

    def run(
        self,
        request: LoadRequest,
        *,
        on_start: Callable[[int, Sequence[int], LiveRows], None],  # (origin_ns, sender pids, live rows)
        keep_going: Callable[[], None],  # called a few times a second; raises to stop the load
    ) -> LoadOutcome:
        """Runs the plan; ``on_start`` is called when the first request is about to be due.

        Raises:
            AttemptFailed: PIPELINE_FAILED where the ops cannot be built; FOLLOWER_ERROR where a sender itself failed:
                then ``SenderFailed``, which holds the rows that were saved.
        """
        ...
