"""Python packages for an image: exactly the pinned wheels, had once for each content."""

import hashlib
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from images.step import ROOT

PYTHON_VERSION: Final = "3.11"  # of every base that will do
CACHE: Final = ROOT / "build/images"


def packages_of(requirements: Path) -> Path:
    """A folder with these packages for the image's Python.

    Raises:
        subprocess.CalledProcessError: they could not be had.
    """
    key = hashlib.sha256(requirements.read_bytes() + platform.machine().encode()).hexdigest()[:16]
    folder = CACHE / f"site-{key}"
    if not folder.exists():
        partial = CACHE / f"site-{key}.partial"
        shutil.rmtree(partial, ignore_errors=True)
        subprocess.run(pip_arguments(partial, requirements), check=True)
        partial.rename(folder)
    return folder


def pip_arguments(target: Path, requirements: Path) -> list[str]:
    """Wheels for the image's interpreter, whichever one runs this; pinned, hashed, compiled later."""
    machine = platform.machine()
    tags = [f"manylinux_2_{minor}_{machine}" for minor in (28, 27, 24, 17)] + [f"manylinux2014_{machine}"]
    return [
        *(sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", "install"),
        *("--target", str(target), "--no-compile", "--no-deps", "--require-hashes", "--only-binary", ":all:"),
        *("--implementation", "cp", "--python-version", PYTHON_VERSION),
        *(part for tag in tags for part in ("--platform", tag)),
        *("--requirement", str(requirements)),
    ]


def link_tree(source: Path, target: Path, leave_out: Callable[[str, list[str]], set[str]] | None = None) -> None:
    """A copy that shares the files, of a gigabyte perhaps, where both lie on one file system."""
    shutil.copytree(source, target, copy_function=_link, ignore=leave_out, symlinks=True)


def _link(source: str, target: str) -> str:
    try:
        Path(target).hardlink_to(source)
    except OSError:  # another file system
        shutil.copy2(source, target)
    return target
