"""Every serving platform of this follower, by its name in the job file. A new one is one file and one row.

Packages of others add theirs through the entry-point group ``inferbench.platforms``: the entry point's name is the
platform's, and it loads to a class without parameters or to an instance.
"""

from collections.abc import Iterable, Mapping
from importlib.metadata import EntryPoint, entry_points
from types import MappingProxyType
from typing import Final

from follower.serve.endpoint.platform import EndpointPlatform
from follower.serve.modelserver.platform import ModelServerPlatform
from follower.serve.protocol import Platform, PlatformTable
from follower.serve.tensorflow.compat import TfsCompatPlatform
from follower.serve.tensorflow.platform import TfServingPlatform
from follower.serve.triton.platform import TritonPlatform
from shared.errors import Conflict, NotAvailable
from shared.wire.identity import PlatformOffer

ENTRY_POINT_GROUP: Final = "inferbench.platforms"

PLATFORMS: Final[PlatformTable] = MappingProxyType(
    {
        "onnxruntime": ModelServerPlatform("onnxruntime"),
        "openvino": ModelServerPlatform("openvino", engine="openvino"),
        "torchscript": ModelServerPlatform("torchscript", engine="torch"),
        "triton": TritonPlatform(),
        "tfserving": TfServingPlatform(),
        "tfs-compat": TfsCompatPlatform(),
        "endpoint": EndpointPlatform(),
    }
)
"""The built-in ones."""


def all_platforms() -> PlatformTable:
    """The built-in platforms and those that installed packages add.

    Raises:
        Conflict: two of one name, or one under a name that is not its own.
    """
    return extended(PLATFORMS, entry_points(group=ENTRY_POINT_GROUP))


def extended(builtin: PlatformTable, added: Iterable[EntryPoint]) -> PlatformTable:
    """``builtin`` and the platforms behind the entry points.

    Raises:
        Conflict: two of one name, or one under a name that is not its own.
    """
    table: dict[str, Platform] = dict(builtin)
    for entry in added:
        if entry.name in table:
            raise Conflict(
                f"platform {entry.name!r} of {entry.value} exists already; known: {', '.join(sorted(table))}"
            )
        platform = _load(entry)
        if platform.name != entry.name:
            raise Conflict(f"entry point {entry.name!r} of {entry.value} loads a platform named {platform.name!r}")
        table[entry.name] = platform
    return MappingProxyType(table)


def _load(entry: EntryPoint) -> Platform:
    loaded = entry.load()
    platform: Platform = loaded() if isinstance(loaded, type) else loaded
    return platform


def find_platform(name: str, table: Mapping[str, Platform] | None = None) -> Platform:
    """The platform of this name.

    Raises:
        NotAvailable: there is none; the message lists those that there are.
    """
    known = all_platforms() if table is None else table
    if name not in known:
        raise NotAvailable(f"unknown platform {name!r}; this follower has {', '.join(sorted(known))}")
    return known[name]


def offers(table: Mapping[str, Platform] | None = None) -> tuple[PlatformOffer, ...]:
    """What can be announced: the platforms that are installed."""
    known = all_platforms() if table is None else table
    found = (platform.offer() for platform in known.values())
    return tuple(offer for offer in found if offer is not None)
