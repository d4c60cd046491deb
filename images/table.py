"""The images that ``python -m images`` can build. A new one is one row."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final

from follower.engines.folder import installed_version
from images import triton
from images.engines import engine_server
from images.model_server import SERVER
from images.step import Step, build


@dataclass(frozen=True, kw_only=True)
class Buildable:
    """An image. ``build``: takes a base's name, and answers whether it had to be built.

    It raises RuntimeError, OSError or subprocess.CalledProcessError in the words of whatever failed.
    """

    image: str
    build: Callable[[str], bool]
    is_wanted: Callable[[], bool] = lambda: True  # where nobody names images


def _stepwise(step: Step, engine: str | None = None) -> Buildable:
    """Wanted where its engine is installed: that is fetched with pip, and need not be fetched a second time."""
    wanted = (lambda: True) if engine is None else (lambda: installed_version(engine) is not None)
    return Buildable(image=step.image, build=partial(build, step), is_wanted=wanted)


IMAGES: Final[Mapping[str, Buildable]] = {
    "model-server": _stepwise(SERVER),
    "openvino": _stepwise(engine_server("openvino", "openvino"), "openvino"),
    "torchscript": _stepwise(engine_server("torchscript", "torch"), "torch"),
    "tfs-compat": _stepwise(engine_server("tfs-compat", "tensorflow"), "tensorflow"),
    "triton": _stepwise(triton.SERVER_IMAGE, triton.ENGINE),
}
