"""The contract of a serving platform on this follower: start a model service, know when it is ready, stop it.

Obligations of every implementation:

* ``start`` returns at once or raises; everything it starts dies with the calling process, whatever kills that.
* ``wait_ready`` returns only after one real inference has been answered, and raises ``AttemptFailed`` with the
  cause that tells the failures apart: not ready in time, died, out of memory.
* ``stop`` leaves no process, port or file outside ``workdir``; calling it twice is harmless.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from shared.jobs.spec import ServiceSpec
from shared.measure.record import ColdStart
from shared.wire.identity import PlatformOffer


@dataclass(frozen=True, kw_only=True)
class TensorInfo:
    """One input or output: Open Inference Protocol datatype, and a shape in which -1 is free."""

    name: str
    datatype: str  # "FP32", "INT64", ...
    shape: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class ModelMetadata:
    """What the running service says of its model."""

    name: str
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]


@dataclass(frozen=True, kw_only=True)
class ServeRequest:
    """What to serve, with what, on which cores."""

    model_path: Path
    model_name: str
    service: ServiceSpec
    server_cores: Sequence[int]
    workdir: Path  # logs and scratch go here


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """Where the service answers, over HTTP with the Open Inference Protocol v2."""

    host: str
    port: int
    model_name: str


class Service(Protocol):
    """A started service."""

    endpoint: Endpoint
    log_path: Path

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

    name: str

    def offer(self) -> PlatformOffer | None:
        """What can be announced, or None where the platform is not installed."""
        ...

    def start(self, request: ServeRequest) -> Service: ...


PlatformTable = Mapping[str, Platform]
