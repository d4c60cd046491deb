"""Images in steps: each step is an image of its own, made on another one, and only where it is not there as it must be.

Steps that change at different times are built at different times, and images that begin alike share their layers.
"""

import hashlib
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from docker import APIClient
from docker.errors import ImageNotFound

from follower.serve.containers.engine import SOCKET

ROOT: Final = Path(__file__).resolve().parents[1]
CONTENT_LABEL: Final = "inferbench.content"
BUILD_TIMEOUT_S: Final = 600


@dataclass(frozen=True, kw_only=True)
class Step:
    """One image.

    ``sources``: every file that decides what it holds beside the Dockerfile. ``lay_out``: puts what the Dockerfile
    copies into the folder that it is built in.
    """

    image: str
    dockerfile: Path
    sources: Callable[[], Sequence[Path]]
    lay_out: Callable[[Path], None]
    on: "Step | None" = None  # None: the base


def build(step: Step, base: str) -> bool:
    """Builds the image and what it stands on; False where there was one of the same content already.

    Raises:
        RuntimeError: the build failed; with the engine's words.
        subprocess.CalledProcessError: what it is to hold could not be had.
    """
    api = APIClient(base_url=f"unix://{SOCKET}", version="auto", timeout=BUILD_TIMEOUT_S)
    try:
        return _build(api, step, base)
    finally:
        api.close()


def content(step: Step, base: str) -> str:
    """One digest of what it stands on, and of the files' places and bytes."""
    digest = hashlib.sha256((content(step.on, base) if step.on else base).encode())
    for path in (step.dockerfile, *step.sources()):
        digest.update(f"\0{path.relative_to(ROOT)}\0".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def content_of(api: APIClient, image: str) -> str | None:
    """The digest that an image was built from; None where there is no such image, or it is not of ours."""
    try:
        found = api.inspect_image(image)  # type: ignore[no-untyped-call]
    except ImageNotFound:
        return None
    labels: dict[str, str] = found["Config"]["Labels"] or {}
    return labels.get(CONTENT_LABEL)


def finish(parts: Iterator[dict[str, Any]], image: str) -> None:
    """Reads the engine's report of a build to its end.

    Raises:
        RuntimeError: it failed.
    """
    said: list[str] = []
    for part in parts:
        said.append(str(part.get("stream", "")))
        if "error" in part:
            raise RuntimeError(f"image {image} was not built: {part['error']}\n{''.join(said[-20:])}")


def _build(api: APIClient, step: Step, base: str) -> bool:
    wanted = content(step, base)
    if content_of(api, step.image) == wanted:
        return False
    if step.on is not None:
        _build(api, step.on, base)
    with TemporaryDirectory(prefix="inferbench-image-") as folder:
        shutil.copy(step.dockerfile, Path(folder) / "Dockerfile")
        step.lay_out(Path(folder))
        parts = api.build(
            path=folder,
            tag=step.image,
            buildargs={"BASE": step.on.image if step.on else base},
            labels={CONTENT_LABEL: wanted},
            rm=True,
            forcerm=True,  # what a failed build leaves
            decode=True,
        )
        finish(parts, step.image)
    return True
