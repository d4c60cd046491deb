"""What the server serves at the moment: nothing until the model is loaded, then one model in one version."""

from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from follower.serve.modelserver.server.batcher import Batcher
from follower.serve.modelserver.server.options import RuntimeName
from follower.serve.modelserver.server.refusal import Refused
from follower.serve.openinference.tensors import ModelMetadata

if TYPE_CHECKING:  # the processors are slow to import, and seldom wanted
    from follower.serve.modelserver.server.pipeline import PipelineWorkers

VERSION: Final = "1"


@dataclass(frozen=True, kw_only=True)
class ServingModel:
    """A model that takes requests."""

    metadata: ModelMetadata
    batched: bool
    batcher: Batcher
    pipeline: "PipelineWorkers | None" = None  # where the server does the pre- and post-processing

    def close(self) -> None:
        """Ends its threads, once what they have begun is done."""
        if self.pipeline is not None:
            self.pipeline.close()
        self.batcher.close()


class Serving:
    """The one model by its name, whether loaded yet or not."""

    def __init__(
        self, name: str, on_out_of_memory: Callable[[str], None], runtime: RuntimeName = "onnxruntime"
    ) -> None:
        self.name = name
        self.runtime: RuntimeName = runtime
        self.on_out_of_memory = on_out_of_memory  # ends the server; called from any thread
        self.loaded: ServingModel | None = None

    def knows(self, model: str, version: str = VERSION) -> None:
        """Checks a name from a URL.

        Raises:
            Refused: no such model or version, with status 404.
        """
        if model != self.name:
            raise Refused(f"unknown model {model!r}; this server has {self.name!r}", HTTPStatus.NOT_FOUND)
        if version != VERSION:
            message = f"model {model!r} has no version {version!r}, only {VERSION!r}"
            raise Refused(message, HTTPStatus.NOT_FOUND)

    def model(self, model: str, version: str = VERSION) -> ServingModel:
        """The model, ready to take requests.

        Raises:
            Refused: unknown (404), or not loaded yet (503).
        """
        self.knows(model, version)
        return self.served()

    def served(self) -> ServingModel:
        """The one model, ready to take requests.

        Raises:
            Refused: not loaded yet (503).
        """
        if self.loaded is None:
            raise Refused(f"model {self.name!r} is still being loaded", HTTPStatus.SERVICE_UNAVAILABLE)
        return self.loaded
