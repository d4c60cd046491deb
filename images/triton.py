"""The stand-in for the vendor's image of Triton: what a wheel holds of it, at the places of the vendor's image."""

import shutil
from pathlib import Path
from typing import Final

from follower.engines.folder import ENGINES_DIR, engine_dir, installed_version, preload_of
from follower.engines.install import PRELOAD, REQUIREMENTS, install
from follower.serve.containers.images import DEFAULT_IMAGES
from follower.serve.triton.layout import BACKEND_FILES, SERVER, STUB, stub_of
from images.model_server import PACKAGES
from images.packages import CACHE, PYTHON_VERSION, link_tree
from images.step import ROOT, Step
from shared.errors import Unavailable

ENGINE: Final = "triton"
LIBRARIES: Final = "nvidia_pytriton.libs"


def lay_out(folder: Path) -> None:
    """The server's program, its back end with the process of the image's Python, and their libraries.

    Raises:
        RuntimeError: the wheel could not be had, or its small library not be compiled.
    """
    root = ENGINES_DIR if installed_version(ENGINE) is not None else CACHE / "engines"
    try:
        install(ENGINE, root)
    except Unavailable as error:
        raise RuntimeError(error.detail) from error
    arrange(engine_dir(ENGINE, root), preload_of(ENGINE, root), folder / "tritonserver")


def arrange(engine: Path, preload: Path | None, home: Path) -> None:
    """Fills ``home``, which the image has as /opt/tritonserver, from the engine's folder."""
    back_end = home / "backends/python"
    back_end.mkdir(parents=True)
    link_tree(engine / SERVER / "bin", home / "bin")
    link_tree(engine / LIBRARIES, home / "lib")
    for name in BACKEND_FILES:
        shutil.copy2(engine / SERVER / "backends/python" / name, back_end / name)
    Path(shutil.copy2(stub_of(engine, PYTHON_VERSION), back_end / STUB)).chmod(0o755)
    if preload is not None:
        shutil.copy2(preload, home / "lib" / preload.name)


def _sources() -> list[Path]:
    return [REQUIREMENTS / f"{ENGINE}.txt", PRELOAD / "late_free.c"]


SERVER_IMAGE: Final = Step(
    image=DEFAULT_IMAGES[ENGINE],
    dockerfile=ROOT / "images/triton/Dockerfile",
    sources=_sources,
    lay_out=lay_out,
    on=PACKAGES,
)
