"""Commands in containers, for tests: started with any limits, looked at, and gone at the end."""

import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from support.serving import eventually

from follower.serve.containers.confinement import WORKDIR_LABEL
from follower.serve.containers.engine import SOCKET, Engine
from follower.serve.containers.images import MODEL_SERVER
from follower.serve.containers.leftovers import FOLLOWER_LABEL, INCARNATION_LABEL
from follower.serve.launch.container import DockerLauncher, LaunchedContainer
from follower.serve.launch.log import tail
from follower.serve.launch.protocol import LaunchRequest


@contextmanager
def contained_python(folder: Path, code: str, *arguments: str, **more: Any) -> Iterator[LaunchedContainer]:
    """A line of Python in a container."""
    request = {
        "argv": ["python3", "-c", code, *arguments],
        "cores": [],
        "threads": 1,
        "workdir": folder / "work",
        "log_path": folder / "log",
        "image": MODEL_SERVER,
    }
    folder.mkdir(parents=True, exist_ok=True)
    launched = DockerLauncher().start(LaunchRequest(**{**request, **more}))
    try:
        yield launched
    finally:
        launched.stop()


def output(folder: Path, code: str, *arguments: str, **more: Any) -> str:
    """What it wrote until it ended by itself."""
    with contained_python(folder, code, *arguments, **more) as launched:
        assert eventually(lambda: launched.poll() is not None)
        return tail(launched.log_path)


def labels_of(follower: str, incarnation: str) -> Mapping[str, str]:
    """As the attempts of an agent carry them."""
    return {FOLLOWER_LABEL: follower, INCARNATION_LABEL: incarnation, "inferbench.run": "r", "inferbench.fence": "3"}


def containers_in(root: Path) -> list[Mapping[str, str]]:
    """The labels of every container that works below ``root``, ended ones too."""
    engine = Engine.connect()
    try:
        found = engine.labelled(WORKDIR_LABEL).values()
    finally:
        engine.close()
    return [labels for labels in found if Path(labels[WORKDIR_LABEL]).is_relative_to(root)]


def await_file(path: Path, timeout_s: float = 10.0) -> str:
    """A file's text, once it is there and has any."""
    deadline = time.monotonic() + timeout_s
    while not path.exists() or not path.read_text():
        assert time.monotonic() < deadline, path
        time.sleep(0.01)
    return path.read_text()


@contextmanager
def made_on(base: str, recipe: str, files: Mapping[str, str] | None = None) -> Iterator[str]:
    """An image made from another one by lines of a Dockerfile, with these files to copy; gone at the end."""
    from docker import APIClient  # noqa: PLC0415 - the SDK is slow to import, and seldom needed

    from images.step import finish  # noqa: PLC0415 - the same

    image = f"inferbench/test:{secrets.token_hex(4)}"
    api = APIClient(base_url=f"unix://{SOCKET}", version="auto", timeout=60)
    try:
        with TemporaryDirectory() as folder:
            Path(folder, "Dockerfile").write_text(f"FROM {base}\n{recipe}")
            for name, text in (files or {}).items():
                Path(folder, name).write_text(text)
            finish(api.build(path=folder, tag=image, rm=True, decode=True), image)
        yield image
        api.remove_image(image, force=True)
    finally:
        api.close()
