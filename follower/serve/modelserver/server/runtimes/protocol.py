"""What an inference engine is to the model server: a model's file in, runners and what is known of them out."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy.typing as npt

from follower.serve.modelserver.server.options import ServerOptions
from follower.serve.openinference.tensors import ModelMetadata

Run = Callable[[Mapping[str, npt.NDArray[Any]]], Sequence[npt.NDArray[Any]]]
"""Executes one batch and answers all outputs in the model's order; raises Refused or OutOfMemory."""


@dataclass(frozen=True, kw_only=True)
class EngineFacts:
    """What the engine really does, which may be less or other than what it was asked for. ``None``: it does not say."""

    version: str
    precision: str  # of its arithmetic: "f32", "bf16", ...; "as-stored": that of each operator in the file
    threads: int | None = None  # in all instances together
    streams: int | None = None  # inferences that it runs side by side


@dataclass(frozen=True, kw_only=True)
class LoadedModel:
    """What can be served: the model's description and one runner for each instance."""

    metadata: ModelMetadata
    batched: bool  # requests may be executed together
    runs: Sequence[Run]
    facts: EngineFacts


class Load(Protocol):
    """A runtime's one function."""

    def __call__(self, options: ServerOptions, *, cores: int) -> LoadedModel:
        """Makes ``options.instances`` runners for a process that has ``cores`` cores.

        Raises:
            LoadFailed: not a model, or not one that can be served as asked.
            OutOfMemory: it does not fit.
        """
        ...
