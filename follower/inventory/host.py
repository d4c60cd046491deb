"""The host's inventory, put together from its readers."""

import platform
import socket
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

import psutil

from follower.inventory.cpu import Cpu
from follower.inventory.gpus import read_gpus
from shared.wire.identity import Inventory, PlatformOffer

PACKAGES: Final = (
    "inferbench", "numpy", "onnx", "onnxruntime", "pillow", "pyarrow", "tokenizers", "uvicorn", "uvloop", "httptools",
)  # fmt: skip
"""What can move a number: the load generator's and the server's libraries."""


def read_inventory(cpu: Cpu, offers: tuple[PlatformOffer, ...]) -> Inventory:
    """Describe this host."""
    return Inventory(
        hostname=socket.gethostname(),
        cpu_model=cpu.model,
        logical_cores=cpu.logical_cores,
        physical_cores=cpu.physical_cores,
        caches=cpu.caches,
        memory_bytes=psutil.virtual_memory().total,
        kernel=platform.release(),
        os=_operating_system(),
        governor=cpu.governor,
        virtualization=cpu.virtualization,
        gpus=read_gpus(),
        versions=read_versions(offers),
    )


def read_versions(offers: tuple[PlatformOffer, ...]) -> dict[str, str]:
    """Versions of Python, of the packages that matter and of the installed platforms."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found | {f"platform:{offer.platform}": offer.version for offer in offers}


def _operating_system(os_release: Path = Path("/etc/os-release")) -> str:
    try:
        lines = os_release.read_text().splitlines()
    except OSError:
        return platform.system()
    pairs = dict(line.split("=", 1) for line in lines if "=" in line)
    return pairs.get("PRETTY_NAME", platform.system()).strip('"')
