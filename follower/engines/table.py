"""The heavy engines that serving platforms may need: none is installed unless somebody asks for it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from shared.errors import NotFound


@dataclass(frozen=True)
class Engine:
    """Software that is installed into a folder of its own, for the follower's own interpreter."""

    name: str
    distribution: str  # whose version is the engine's
    platforms: tuple[str, ...]  # which become available by it
    about: str
    preload: str | None = None  # a library, built from a source here, that its process must load before any other


ENGINES: Final[Mapping[str, Engine]] = {
    engine.name: engine
    for engine in (
        Engine(
            "triton",
            "nvidia-pytriton",
            ("triton",),
            "NVIDIA Triton Inference Server, Python back end",
            preload="late_free",
        ),
        Engine("tensorflow", "tensorflow-cpu", ("tfs-compat",), "TensorFlow and the stubs of its serving API"),
        Engine("torch", "torch", ("torchscript",), "PyTorch for CPUs"),
        Engine("openvino", "openvino", ("openvino",), "Intel's OpenVINO runtime"),
    )
}


def find_engine(name: str) -> Engine:
    """The engine of this name.

    Raises:
        NotFound: there is none; the message lists those that there are.
    """
    if name not in ENGINES:
        raise NotFound(f"unknown engine {name!r}; there are {', '.join(sorted(ENGINES))}")
    return ENGINES[name]
