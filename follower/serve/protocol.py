"""The contract of a serving platform on this follower: start a model service, know when it is ready, stop it.

Obligations of every implementation:

* ``start`` returns at once or raises; everything it starts dies with the calling process, whatever kills that.
  It is called from a thread that lives as long as the service (see ``follower.serve.launch.protocol``).
* ``wait_ready`` returns only after one real inference has been answered, and raises ``AttemptFailed`` with the
  cause that tells the failures apart: not ready in time, died, out of memory, model refused.
* ``stop`` leaves no process, port or file outside ``workdir``; calling it twice is harmless.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from follower.serve.openinference.tensors import ModelMetadata, TensorInfo
from follower.serve.secure import SecretHeader, Tls
from shared.jobs.endpoint_api import TemplateApi
from shared.jobs.pipeline import PipelineSpec
from shared.jobs.spec import ServiceSpec
from shared.measure.record import ColdStart
from shared.wire.identity import PlatformOffer

__all__ = [
    "DialectName",
    "Endpoint",
    "ModelMetadata",
    "Platform",
    "PlatformTable",
    "RequestStages",
    "ServeRequest",
    "ServerPipeline",
    "ServerStatistics",
    "Service",
    "TensorInfo",
]

DialectName = Literal["openinference-http", "openinference-grpc", "tensorflow-rest", "tensorflow-grpc", "template-http"]
"""What is spoken with a service: ``follower.load.dialects`` has one of each."""


@dataclass(frozen=True, kw_only=True)
class ServerPipeline:
    """Pre- and post-processing that the service is to do itself."""

    spec: PipelineSpec
    labels: tuple[str, ...] = ()  # of the model's card
    tokenizer: str | None = None  # the model's own, where the ops ask for it


@dataclass(frozen=True, kw_only=True)
class ServeRequest:
    """What to serve, with what, on which cores."""

    model_path: Path  # a file; of a SavedModel the folder
    model_name: str
    service: ServiceSpec
    server_cores: Sequence[int]
    workdir: Path  # logs and scratch go here
    memory_bytes: int | None = None  # most address space that the server may take; None: no limit
    example_shapes: Mapping[str, Sequence[int]] = field(default_factory=dict)
    """Shapes for the first inference by input name, for models whose free dimensions cannot be guessed."""
    example: npt.NDArray[Any] | None = None
    """One sample as the load will send it, batch first, for the first inference of what describes no input itself."""
    request_stages: bool = True
    """Whether a server that can write single requests down is to do so."""
    pipeline: ServerPipeline | None = None
    """Asked of platforms whose offer has ``server`` among its ``pipeline_sides``; None: nothing but the model."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """Run, attempt and fence: what is started carries them, so that a later agent knows its own leftovers."""
    allowed_endpoints: Sequence[str] = ()
    """Hosts that platform ``endpoint`` may load, as the operator lists them."""
    endpoint_ca_file: Path | None = None
    """Authorities that platform ``endpoint`` trusts beside the system's."""
    endpoint_secrets_file: Path | None = None
    """Where the operator keeps the secrets that jobs for platform ``endpoint`` may name."""
    image: str | None = None
    """Of what a container is made, where the operator chose; None: the platform's own."""


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """Where the service takes requests, and what it speaks there."""

    host: str
    port: int
    model_name: str
    dialect: DialectName = "openinference-http"
    pipeline_model: str | None = None  # where the server does the pipeline: the name that takes raw samples
    authority: str = ""  # host and port as requests are to name them; "": those above
    numbered: bool = False  # every request is to carry its number as its id: ``request_stages`` needs it
    template: TemplateApi | None = None  # of dialect template-http
    tls: Tls | None = None  # None: in the clear
    secret: SecretHeader | None = None  # to be sent with every request


@dataclass(frozen=True, kw_only=True)
class ServerStatistics:
    """Sums over everything that the server has executed since it started; ``None``: it does not count that."""

    inferences: int  # samples
    executions: int  # batches
    queue_ns: int | None = None  # of all requests together
    input_ns: int | None = None
    inference_ns: int | None = None
    output_ns: int | None = None
    batches: Mapping[int, int] = field(default_factory=dict)  # executed batch size -> executions


@dataclass(frozen=True, kw_only=True)
class RequestStages:
    """What the server wrote down of single requests, beside its answers; arrays of shape (n,)."""

    request_id: npt.NDArray[np.int64]  # as the sender numbered it
    queue_ns: npt.NDArray[np.int64]
    inference_ns: npt.NDArray[np.int64]


class Service(Protocol):
    """A started service."""

    @property
    def endpoint(self) -> Endpoint:
        """Known once ``wait_ready`` has returned.

        Raises:
            AttemptFailed: SERVER_NOT_READY before the service has opened its port.
        """
        ...

    @property
    def log_path(self) -> Path:
        """What the service wrote to its standard output and error."""
        ...

    def wait_ready(self, timeout_ns: int) -> ColdStart:
        """Blocks until the first inference has been answered.

        Raises:
            AttemptFailed: SERVER_NOT_READY, SERVER_DIED, SERVER_OUT_OF_MEMORY or MODEL_LOAD_FAILED, each with
                the log's tail.
        """
        ...

    def metadata(self) -> ModelMetadata:
        """Names, datatypes and shapes, read from the running service."""
        ...

    def facts(self) -> Mapping[str, Any]:
        """What really serves, read from the running service: engine, its version, back end, effective precision.

        JSON values; goes into the record beside what was asked for.
        """
        ...

    def statistics(self) -> ServerStatistics | None:
        """The server's own counters now; None where it has none. Asked at both edges of the window."""
        ...

    def request_stages(self) -> RequestStages | None:
        """What it wrote down of single requests, once the load is over; None where answers carry it, or nobody."""
        ...

    def pids(self) -> tuple[int, ...]:
        """The live processes of the service, for the collectors."""
        ...

    def check(self) -> None:
        """Raises AttemptFailed (SERVER_DIED or SERVER_OUT_OF_MEMORY) once the service is gone."""
        ...

    def stop(self) -> None:
        """Ends the service within a few seconds, by force if need be."""
        ...


class Platform(Protocol):
    """A serving platform."""

    @property
    def name(self) -> str:
        """As ``service.platform`` of the job file spells it."""
        ...

    def offer(self) -> PlatformOffer | None:
        """What can be announced, or None where the platform is not installed."""
        ...

    def start(self, request: ServeRequest) -> Service:
        """Starts serving.

        Raises:
            NotAvailable: the request asks for what ``offer`` does not announce.
        """
        ...


PlatformTable = Mapping[str, Platform]
