"""Which image a platform is served from, where the operator names no other one. Pure."""

from collections.abc import Mapping
from importlib.metadata import version
from types import MappingProxyType
from typing import Final

_OURS: Final = version("inferbench")

MODEL_SERVER: Final = f"inferbench/model-server:{_OURS}"

DEFAULT_IMAGES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "onnxruntime": MODEL_SERVER,
        "openvino": f"inferbench/openvino:{_OURS}",
        "torchscript": f"inferbench/torchscript:{_OURS}",
        "tfs-compat": f"inferbench/tfs-compat:{_OURS}",
        "triton": f"inferbench/triton:{_OURS}",
    }
)
"""Platform -> image. A platform without a row is served from a container only where the settings name its image."""

VERSION_OF_IMAGE: Final = "container"
"""In an offer of images only: which version an image holds is known once it runs, and stands in the record."""


def image_of(platform: str, chosen: Mapping[str, str]) -> str | None:
    """The operator's choice, else the default; None where there is neither."""
    return chosen.get(platform) or DEFAULT_IMAGES.get(platform)
