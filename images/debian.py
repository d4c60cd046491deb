"""A base image from the machine's own Debian mirror, where no registry of images can be reached."""

import shutil
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from docker import APIClient
from docker.errors import ImageNotFound

from follower.serve.containers.engine import SOCKET

SUITE: Final = "bookworm"  # its Python is 3.11, as in the Dockerfile's own base
PACKAGES: Final = "python3"
BASE: Final = f"inferbench/base:{SUITE}-{PACKAGES}"
APT: Final = Path("/etc/apt")
IMPORT_TIMEOUT_S: Final = 300


def base() -> str:
    """The name of the image, which is made where it is not there yet: about half a minute, once.

    Raises:
        RuntimeError: apt names no mirror.
        FileNotFoundError: debootstrap is not installed.
        subprocess.CalledProcessError: it failed.
    """
    api = APIClient(base_url=f"unix://{SOCKET}", version="auto", timeout=IMPORT_TIMEOUT_S)
    try:
        api.inspect_image(BASE)  # type: ignore[no-untyped-call]
    except ImageNotFound:
        _make()
    finally:
        api.close()
    return BASE


def _make() -> None:
    debootstrap = shutil.which("debootstrap", path="/usr/sbin:/sbin:/usr/bin:/bin") or "debootstrap"
    with TemporaryDirectory(prefix="inferbench-base-") as folder:
        root, archive = Path(folder) / "root", Path(folder) / "root.tar"
        arguments = [debootstrap, "--variant=minbase", f"--include={PACKAGES}", SUITE, str(root), mirror()]
        subprocess.run(arguments, check=True, capture_output=True)
        for waste in ("var/cache/apt/archives", "usr/share/doc", "usr/share/locale", "usr/share/man"):
            shutil.rmtree(root / waste, ignore_errors=True)
        subprocess.run(["tar", "-C", str(root), "-cf", str(archive), "."], check=True)
        _import(archive)


def _import(archive: Path) -> None:
    api = APIClient(base_url=f"unix://{SOCKET}", version="auto", timeout=IMPORT_TIMEOUT_S)
    try:
        repository, _, tag = BASE.partition(":")
        answer = api.import_image_from_file(str(archive), repository=repository, tag=tag)
        if "error" in answer:
            raise RuntimeError(f"the engine did not take the base image: {answer}")
    finally:
        api.close()


def mirror(apt: Path = APT) -> str:
    """The first mirror of the machine's own sources, in either of apt's two formats (sources.list(5)).

    Raises:
        RuntimeError: there is none.
    """
    for path in (*sorted(apt.glob("sources.list.d/*.sources")), *sorted(apt.glob("sources.list.d/*.list"))):
        if found := _mirror_in(path.read_text()):
            return found
    old = apt / "sources.list"
    found = _mirror_in(old.read_text()) if old.exists() else None
    if found is None:
        raise RuntimeError(f"apt's sources below {apt} name no mirror to make a base image from")
    return found


def _mirror_in(text: str) -> str | None:
    for line in text.splitlines():
        words = line.split()
        if words[:1] == ["URIs:"]:
            return words[1]
        if words[:1] == ["deb"]:
            return next((word for word in words if "://" in word or word.startswith("file:")), None)
    return None
