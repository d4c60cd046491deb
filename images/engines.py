"""Images of the servers that need an engine: the packages, the engine, then the servers' own modules."""

import shutil
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Final

from follower.engines.folder import engine_dir
from follower.engines.install import REQUIREMENTS
from follower.serve.containers.images import DEFAULT_IMAGES
from images.model_server import FOLDER, PACKAGES, server
from images.packages import PYTHON_VERSION, link_tree, packages_of
from images.step import Step

PINS_COPY: Final = "inferbench-requirements.txt"  # in the engine's folder, of what it was filled from

UNUSED: Final = ("__pycache__", "include", "*.a", "*.lib")
"""For compiling against an engine; and bytecode, which the image makes its own."""


def engine_step(name: str) -> Step:
    """The engine, in an image that only others are made on."""
    return Step(
        image=f"inferbench/engine-{name}:{version('inferbench')}",
        dockerfile=FOLDER / "engine.Dockerfile",
        sources=lambda: [REQUIREMENTS / f"{name}.txt"],
        lay_out=_lays_out(name),
        on=PACKAGES,
    )


def engine_server(platform: str, engine: str) -> Step:
    """The image that a platform is served from."""
    return server(DEFAULT_IMAGES[platform], engine_step(engine))


def engine_packages(name: str) -> Path:
    """The installed engine, where it is what is pinned and fits the image's Python; else one that is fetched.

    Raises:
        subprocess.CalledProcessError: it could not be had.
    """
    pinned, installed = REQUIREMENTS / f"{name}.txt", engine_dir(name)
    return installed if is_fit(installed, pinned) else packages_of(pinned)


def is_fit(installed: Path, pinned: Path, python: str = f"{sys.version_info.major}.{sys.version_info.minor}") -> bool:
    """Whether an engine's folder holds the pinned files, for the image's Python. ``python``: of whom it was filled."""
    copy = installed / PINS_COPY
    return python == PYTHON_VERSION and copy.is_file() and copy.read_bytes() == pinned.read_bytes()


def _lays_out(name: str) -> Callable[[Path], None]:
    leave_out = shutil.ignore_patterns(*UNUSED)
    return lambda folder: link_tree(engine_packages(name), folder / "engine", leave_out)
