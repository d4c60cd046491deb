"""Puts an engine into its folder: all of it or nothing, exactly the files whose digests are pinned."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from follower.engines.folder import ENGINES_DIR, engine_dir, installed_version
from follower.engines.table import Engine, find_engine
from shared.errors import Unavailable

REQUIREMENTS: Final = Path(__file__).parent / "requirements"
PRELOAD: Final = Path(__file__).parent / "preload"
_TOLD_LINES: Final = 5

Run = Callable[[Sequence[str]], "subprocess.CompletedProcess[str]"]


def _run(argv: Sequence[str]) -> "subprocess.CompletedProcess[str]":
    try:
        return subprocess.run(argv, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        return subprocess.CompletedProcess(argv, 1, "", str(error))


def install(name: str, root: Path = ENGINES_DIR, run: Run = _run) -> str:
    """Install the engine, in place of an older one; returns its version. One that is as pinned is left alone.

    Raises:
        NotFound: no such engine.
        Unavailable: pip or the C compiler failed, with the end of what it said; the folder is as it was.
    """
    engine = find_engine(name)
    target = engine_dir(name, root)
    found = installed_version(name, root)
    if found is not None and _is_up_to_date(engine, target):
        return found
    partial = root / f"{engine.name}.{os.getpid()}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    try:
        _require(run(_pip(partial, _pins(engine))), f"engine {name} could not be installed; pip said")
        if engine.preload is not None:
            _require(_compiled(run, engine.preload, partial), f"engine {name} needs a C compiler; cc said")
        for source in _sources(engine):
            shutil.copyfile(source, partial / _copy_of(source))
        _replace(target, partial)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return str(installed_version(name, root))


def _sources(engine: Engine) -> tuple[Path, ...]:
    """What the folder is made from; copies of it lie inside, by which one that is out of date is known."""
    return (_pins(engine), *(() if engine.preload is None else (_c_source(engine.preload),)))


def _copy_of(source: Path) -> str:
    return "inferbench-requirements.txt" if source.parent == REQUIREMENTS else source.name


def _pins(engine: Engine) -> Path:
    return REQUIREMENTS / f"{engine.name}.txt"


def _c_source(preload: str) -> Path:
    return PRELOAD / f"{preload}.c"


def _is_up_to_date(engine: Engine, target: Path) -> bool:
    copies = ((source, target / _copy_of(source)) for source in _sources(engine))
    return all(copy.is_file() and copy.read_bytes() == source.read_bytes() for source, copy in copies)


def _require(done: "subprocess.CompletedProcess[str]", what: str) -> None:
    if done.returncode != 0:
        told = "\n".join((done.stderr or done.stdout).strip().splitlines()[-_TOLD_LINES:])
        raise Unavailable(f"{what}:\n{told}")


def _compiled(run: Run, preload: str, target: Path) -> "subprocess.CompletedProcess[str]":
    return run(["cc", "-O2", "-shared", "-fPIC", "-o", str(target / f"{preload}.so"), str(_c_source(preload))])


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
