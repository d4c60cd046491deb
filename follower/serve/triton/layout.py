"""What lies in the work directory before the server starts: the model repository and the back end's folder."""

import os
import secrets
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

SHM: Final = Path("/dev/shm")  # noqa: S108 - the Python back end's shared memory is made there
SHM_PREFIX: Final = "inferbench-triton-"
SERVER: Final = Path("pytriton", "tritonserver")
ENGINE_FILE: Final = "engine.json"  # the model program writes it: what really executes
COUNTER_SUFFIX: Final = ".samples"  # one file for each instance of the model, 8 bytes little-endian

_BACKEND_FILES: Final = ("libtriton_python.so", "triton_python_backend_utils.py")
_STUB: Final = "triton_python_backend_stub"
_PROGRAM: Final = Path(__file__).with_name("onnx_model.py")


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Where everything of one service lies."""

    workdir: Path
    model_name: str
    shm_prefix: str  # of the files that the back end makes in /dev/shm

    @property
    def repository(self) -> Path:
        return self.workdir / "repository"

    @property
    def backends(self) -> Path:
        return self.workdir / "backends"

    @property
    def trace(self) -> Path:
        return self.workdir / "trace.json"

    @property
    def log(self) -> Path:
        return self.workdir / "server.log"

    @property
    def engine(self) -> Path:
        return self.repository / self.model_name / ENGINE_FILE


def stub_of(engine: Path) -> Path:
    """The back end's own process for this interpreter's version of Python."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    return engine / SERVER / "python_backend_stubs" / version / _STUB


def lay_out(layout: Layout, engine: Path, config: str) -> None:
    """Writes it all; ``engine`` is the folder that Triton is installed in.

    The back end looks for its process beside its library, and only there, so a folder of our own holds links to the
    library and the process of the right Python.
    """
    version = layout.repository / layout.model_name / "1"
    backend = layout.backends / "python"
    for folder in (version, backend):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    (version.parent / "config.pbtxt").write_text(config, encoding="utf-8")
    shutil.copyfile(_PROGRAM, version / "model.py")
    for name in _BACKEND_FILES:
        (backend / name).symlink_to(engine / SERVER / "backends" / "python" / name)
    stub = Path(shutil.copyfile(stub_of(engine), backend / _STUB))
    stub.chmod(0o755)
    for leftover in (layout.trace, layout.engine):
        leftover.unlink(missing_ok=True)


def samples_executed(layout: Layout) -> int:
    """By all instances of the model since they were loaded, as the model program counts them."""
    files = layout.engine.parent.glob(f"*{COUNTER_SUFFIX}")
    return sum(int.from_bytes(path.read_bytes(), "little") for path in files)


def new_shm_prefix() -> str:
    """Unique, and with this process's number, so that a later one knows whose it was."""
    return f"{SHM_PREFIX}{os.getpid()}-{secrets.token_hex(8)}-"


def remove_stale_shared_memory(shm: Path = SHM) -> None:
    """What followers left that were killed with their servers."""
    for path in shm.glob(f"{SHM_PREFIX}*"):
        owner = path.name.removeprefix(SHM_PREFIX).partition("-")[0]
        if owner.isdecimal() and not psutil.pid_exists(int(owner)):
            path.unlink(missing_ok=True)


def remove_shared_memory(layout: Layout, shm: Path = SHM) -> None:
    """What the back end leaves in /dev/shm where it was not given the time to clear up."""
    for path in shm.glob(f"{layout.shm_prefix}*"):
        path.unlink(missing_ok=True)
