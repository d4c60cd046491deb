"""Puts an engine into its folder: all of it or nothing, exactly the files whose digests are pinned."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from follower.engines.folder import ENGINES_DIR, engine_dir, installed_version
from follower.engines.table import find_engine
from shared.errors import Unavailable

REQUIREMENTS: Final = Path(__file__).parent / "requirements"
_TOLD_LINES: Final = 5

Run = Callable[[Sequence[str]], "subprocess.CompletedProcess[str]"]


def _run(argv: Sequence[str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(argv, capture_output=True, text=True, check=False)


def install(name: str, root: Path = ENGINES_DIR, run: Run = _run) -> str:
    """Install the engine, in place of an older one; returns its version. One that is as pinned is left alone.

    Raises:
        NotFound: no such engine.
        Unavailable: pip failed, with the end of what it said; the folder is as it was.
    """
    engine = find_engine(name)
    target, pinned = engine_dir(name, root), REQUIREMENTS / f"{engine.name}.txt"
    found = installed_version(name, root)
    if found is not None and _is_as_pinned(target, pinned):
        return found
    partial = root / f"{engine.name}.{os.getpid()}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    try:
        done = run(_pip(partial, pinned))
        if done.returncode != 0:
            told = "\n".join((done.stderr or done.stdout).strip().splitlines()[-_TOLD_LINES:])
            raise Unavailable(f"engine {name} could not be installed; pip said:\n{told}")
        shutil.copyfile(pinned, partial / _PINS)
        _replace(target, partial)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return str(installed_version(name, root))


_PINS: Final = "inferbench-requirements.txt"
"""A copy of the pins that the folder was filled from."""


def _is_as_pinned(target: Path, pinned: Path) -> bool:
    copy = target / _PINS
    return copy.is_file() and copy.read_bytes() == pinned.read_bytes()


def _pip(target: Path, pinned: Path) -> list[str]:
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile"]
    return [*pip, "--no-deps", "--require-hashes", "--only-binary=:all:", "--target", str(target), "-r", str(pinned)]


def _replace(target: Path, partial: Path) -> None:
    """The new folder takes the old one's name; a process that runs from the old one keeps its open files."""
    old = target.with_name(f"{target.name}.{os.getpid()}.old")
    if target.exists():
        target.rename(old)
    partial.rename(target)
    shutil.rmtree(old, ignore_errors=True)
