"""The images that ``python -m images`` can build. A new one is one row."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from follower.serve.containers.images import MODEL_SERVER
from images import model_server


@dataclass(frozen=True)
class Buildable:
    """An image. ``build``: takes a base's name, and answers whether it had to be built.

    It raises RuntimeError, OSError or subprocess.CalledProcessError in the words of whatever failed.
    """

    image: str
    build: Callable[[str], bool]


IMAGES: Final[Mapping[str, Buildable]] = {
    "model-server": Buildable(MODEL_SERVER, model_server.build),
}
