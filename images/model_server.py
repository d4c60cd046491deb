"""Builds the image of the model server: what goes into it, and when an image that exists is good enough."""

import hashlib
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from docker import APIClient
from docker.errors import ImageNotFound

from follower.serve.containers.engine import SOCKET
from follower.serve.containers.images import MODEL_SERVER

ROOT: Final = Path(__file__).resolve().parents[1]
DOCKERFILE: Final = ROOT / "images/model-server/Dockerfile"
REQUIREMENTS: Final = ROOT / "requirements/model-server.txt"
CODE: Final = ("follower/__init__.py", "follower/serve", "follower/pipeline", "shared")
PYTHON_VERSION: Final = "3.11"  # of every base that will do
CONTENT_LABEL: Final = "inferbench.content"
CACHE: Final = ROOT / "build/images"
BUILD_TIMEOUT_S: Final = 600


def build(base: str, image: str = MODEL_SERVER) -> bool:
    """Builds the image on ``base``; False where there was one of the same content already.

    Raises:
        RuntimeError: the build failed; with the engine's words.
        subprocess.CalledProcessError: the packages could not be had.
    """
    api = APIClient(base_url=f"unix://{SOCKET}", version="auto", timeout=BUILD_TIMEOUT_S)
    try:
        wanted = content(base, sources())
        if content_of(api, image) == wanted:
            return False
        with TemporaryDirectory(prefix="inferbench-image-") as folder:
            lay_out(Path(folder), installed_packages())
            parts = api.build(
                path=folder, tag=image, buildargs={"BASE": base}, labels={CONTENT_LABEL: wanted}, rm=True, decode=True
            )
            finish(parts, image)
    finally:
        api.close()
    return True


def sources() -> list[Path]:
    """Every file that decides what the image holds, beside its base."""
    code = (ROOT / place for place in CODE)
    files = (sorted(place.rglob("*.py")) if place.is_dir() else [place] for place in code)
    return [DOCKERFILE, REQUIREMENTS, *(path for group in files for path in group)]


def content(base: str, paths: Iterable[Path]) -> str:
    """One digest of the base's name, and of the files' places and bytes."""
    digest = hashlib.sha256(base.encode())
    for path in paths:
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


def installed_packages() -> Path:
    """A folder with the packages of ``REQUIREMENTS`` for the image's Python, made once for each content."""
    key = hashlib.sha256(REQUIREMENTS.read_bytes() + platform.machine().encode()).hexdigest()[:16]
    folder = CACHE / f"site-{key}"
    if not folder.exists():
        partial = CACHE / f"site-{key}.partial"
        shutil.rmtree(partial, ignore_errors=True)
        subprocess.run(pip_arguments(partial), check=True)
        partial.rename(folder)
    return folder


def pip_arguments(target: Path) -> list[str]:
    """Wheels for the image's interpreter, whichever one runs this; pinned, hashed, compiled later."""
    machine = platform.machine()
    tags = [f"manylinux_2_{minor}_{machine}" for minor in (28, 27, 24, 17)] + [f"manylinux2014_{machine}"]
    return [
        *(sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", "install"),
        *("--target", str(target), "--no-compile", "--no-deps", "--require-hashes", "--only-binary", ":all:"),
        *("--implementation", "cp", "--python-version", PYTHON_VERSION),
        *(part for tag in tags for part in ("--platform", tag)),
        *("--requirement", str(REQUIREMENTS)),
    ]


def lay_out(folder: Path, packages: Path) -> None:
    """The Dockerfile and what it copies."""
    shutil.copy(DOCKERFILE, folder / "Dockerfile")
    shutil.copytree(packages, folder / "site", copy_function=_link)
    for path in sources():
        if path not in (DOCKERFILE, REQUIREMENTS):
            target = folder / "code" / path.relative_to(ROOT)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)


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


def _link(source: str, target: str) -> str:
    """Instead of copying a hundred megabytes."""
    try:
        Path(target).hardlink_to(source)
    except OSError:  # another file system
        shutil.copy(source, target)
    return target
