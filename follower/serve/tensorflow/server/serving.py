"""What the server serves at the moment: nothing until the model is loaded, then one model in one version."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy.typing as npt

from follower.serve.tensorflow.server.counters import Counters
from follower.serve.tensorflow.server.refusal import Refused

if TYPE_CHECKING:
    from follower.serve.tensorflow.server.saved_model import Predicted, ServedModel

Inputs = Mapping[str, npt.NDArray[Any]]


class Serving:
    """The one model by its name, whether loaded yet or not."""

    def __init__(self, name: str, version: int) -> None:
        self.name = name
        self.version = version
        self.counters = Counters(name)
        self.loaded: ServedModel | None = None

    def knows(self, name: str, version: int | None = None) -> None:
        """Raises Refused for another model or version."""
        if name != self.name or version not in (None, self.version):
            message = f"Servable not found for request: {name} (version {version or 'latest'}); there is {self.name}"
            raise Refused("NOT_FOUND", f"{message}, version {self.version}")

    def model(self, name: str, version: int | None = None) -> "ServedModel":
        """The model, ready to take requests. Raises Refused."""
        self.knows(name, version)
        if self.loaded is None:
            raise Refused("UNAVAILABLE", f"model {name!r} is still being loaded")
        return self.loaded

    def predict(self, name: str, version: int | None, read: "Callable[[ServedModel], Inputs]") -> "Predicted":
        """Executes one request whose inputs ``read`` makes; refusals are counted too. Raises Refused."""
        try:
            model = self.model(name, version)
            return model.predict(read(model))
        except Refused as refused:
            self.counters.answered(refused.code)
            raise
