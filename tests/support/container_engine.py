"""A real container engine for the tests that need one: found, or installed and started; and the image that they use.

What the machine lacks is installed once and stays (Debian's docker.io and debootstrap, the two images); an engine that
was started here is stopped with the last test, since nobody asked for one.
"""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Final

import pytest
from support.engines import require

from follower.serve.containers.engine import Engine
from follower.serve.containers.images import DEFAULT_IMAGES
from shared.errors import NotAvailable

DEBIAN_PACKAGES: Final = ("docker.io", "iptables", "debootstrap")
PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
START_S: Final = 30.0
SETUP_S: Final = 400
"""For ``pytest.mark.timeout`` of whatever may be the first to ask: all of this takes two minutes where nothing is."""

contained = pytest.mark.timeout(SETUP_S)


class NoEngine(Exception):
    """Why there is none here."""


@pytest.fixture(scope="session")
def container_engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """An engine that answers and has the model server's image; where that cannot be, the test is skipped."""
    try:
        with running_engine(tmp_path_factory.mktemp("engine") / "dockerd.log"):
            build_image("onnxruntime")
            yield
    except (NoEngine, OSError, RuntimeError, subprocess.SubprocessError) as error:
        require(False, f"no container engine with the model server's image: {error}")


@cache
def build_image(platform: str) -> None:
    """Builds the image that a platform is served from, where it is not there with this content.

    Raises:
        OSError, RuntimeError, subprocess.SubprocessError: it cannot be.
    """
    from images import debian  # noqa: PLC0415 - the SDK is slow to import, and seldom needed
    from images.table import IMAGES  # noqa: PLC0415 - the same

    [found] = [each for each in IMAGES.values() if each.image == DEFAULT_IMAGES[platform]]
    found.build(debian.base())


def require_image(platform: str) -> None:
    """Skips the test where the platform's image cannot be had. Needs ``container_engine``."""
    try:
        build_image(platform)
    except (OSError, RuntimeError, subprocess.SubprocessError) as error:
        require(False, f"no image of {platform}: {error}")


@contextmanager
def running_engine(log: Path) -> Iterator[None]:
    """One that answers; started by us, it ends with the block.

    Raises:
        NoEngine: there is none, and none can be had.
    """
    install()
    if answers(wait_s=START_S if systemd_runs() else 0):
        yield
        return
    with log.open("wb") as output:
        engine = subprocess.Popen([program("dockerd")], stdout=output, stderr=subprocess.STDOUT)
    try:
        if not answers(wait_s=START_S):
            raise NoEngine(f"dockerd does not answer: {log.read_text().splitlines()[-1:]}")
        yield
    finally:
        engine.terminate()
        engine.wait(START_S)


def program(name: str) -> str:
    """Where it is.

    Raises:
        NoEngine: nowhere.
    """
    found = shutil.which(name, path=PATH)
    if found is None:
        raise NoEngine(f"{name} is not installed")
    return found


def install() -> None:
    """What is missing, with apt.

    Raises:
        NoEngine: apt cannot, or may not.
    """
    engine = answers() or shutil.which("dockerd", path=PATH)
    if engine and shutil.which("debootstrap", path=PATH):
        return
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise NoEngine("docker.io and debootstrap are not installed, and only root can install them, on Debian")
    environment = {"PATH": PATH, "DEBIAN_FRONTEND": "noninteractive"}
    for arguments in (["update"], ["install", "-y", "--no-install-recommends", *DEBIAN_PACKAGES]):
        ran = subprocess.run(
            ["apt-get", "-qq", *arguments], env=environment, capture_output=True, text=True, check=False
        )
        if ran.returncode:
            raise NoEngine(f"apt-get {arguments[0]} failed: {ran.stderr.strip().splitlines()[-1:]}")


def answers(wait_s: float = 0) -> bool:
    """Whether an engine does, before long."""
    deadline = time.monotonic() + wait_s
    while True:
        try:
            Engine.connect().close()
        except NotAvailable:
            if time.monotonic() >= deadline:
                return False
            time.sleep(0.1)
        else:
            return True


def systemd_runs() -> bool:
    """Where it does, installing the package starts the engine."""
    return Path("/run/systemd/system").is_dir()
