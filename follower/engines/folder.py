"""Where engines lie, which of them are installed, and what a process needs to find one.

An engine lies beside the interpreter that it was installed for, because its compiled parts fit no other. The follower
itself never imports an engine: what uses one is a process of its own, which gets ``environment_of``.
"""

import sys
from importlib.metadata import distributions
from pathlib import Path
from typing import Final

from follower.engines.table import find_engine

ENGINES_DIR: Final = Path(sys.prefix) / "engines"


def engine_dir(name: str, root: Path = ENGINES_DIR) -> Path:
    """The folder that ``pip install --target`` filled, or would. Raises NotFound for an unknown engine."""
    return root / find_engine(name).name


def installed_version(name: str, root: Path = ENGINES_DIR) -> str | None:
    """The version of the engine; None where it is not installed. Raises NotFound for an unknown engine."""
    engine = find_engine(name)
    found = distributions(name=engine.distribution, path=[str(engine_dir(name, root))])
    return next((distribution.version for distribution in found), None)


def environment_of(name: str, root: Path = ENGINES_DIR) -> dict[str, str]:
    """What the environment of a process must hold, so that it can import the engine. Raises NotFound."""
    return {"PYTHONPATH": str(engine_dir(name, root))}


def preload_of(name: str, root: Path = ENGINES_DIR) -> Path | None:
    """The library that the engine's process must load first; None where it needs none. Raises NotFound."""
    engine = find_engine(name)
    return None if engine.preload is None else engine_dir(name, root) / f"{engine.preload}.so"
