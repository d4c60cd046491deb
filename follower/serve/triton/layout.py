"""What lies in the work directory: the model repository, the back end's folder, and what the server may write."""

import os
import secrets
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import psutil

BackEndName = Literal["python", "onnxruntime"]

SHM: Final = Path("/dev/shm")  # noqa: S108 - the Python back end's shared memory is made there
SHM_PREFIX: Final = "inferbench-triton-"
SERVER: Final = Path("pytriton", "tritonserver")
ENGINE_FILE: Final = "engine.json"  # the model program writes it: what really executes
COUNTER_SUFFIX: Final = ".samples"  # one file for each instance of the model, 8 bytes little-endian

BACKEND_FILES: Final = ("libtriton_python.so", "triton_python_backend_utils.py")
STUB: Final = "triton_python_backend_stub"
PYTHON_VERSION: Final = f"{sys.version_info.major}.{sys.version_info.minor}"
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
    def scratch(self) -> Path:
        """All that the server and its model may write to."""
        return self.workdir / "scratch"

    @property
    def trace(self) -> Path:
        return self.scratch / "trace.json"

    @property
    def log(self) -> Path:
        return self.workdir / "server.log"

    @property
    def engine(self) -> Path:
        return self.scratch / ENGINE_FILE


def stub_of(engine: Path, version: str = PYTHON_VERSION) -> Path:
    """The back end's own process for a version of Python, this interpreter's unless named."""
    return engine / SERVER / "python_backend_stubs" / version / STUB


def lay_out(layout: Layout, config: str, back_end: BackEndName, model: Path) -> None:
    """Writes the model repository, and empties the scratch.

    The Python back end gets the program that runs the model, ONNX Runtime's own back end the model itself, as a link.
    """
    for folder in (layout.repository, layout.scratch):
        shutil.rmtree(folder, ignore_errors=True)
    layout.scratch.mkdir(parents=True)
    version = layout.repository / layout.model_name / "1"
    version.mkdir(parents=True)
    (version.parent / "config.pbtxt").write_text(config, encoding="utf-8")
    if back_end == "python":
        shutil.copyfile(_PROGRAM, version / "model.py")
    else:
        (version / "model.onnx").symlink_to(model)


def lay_out_back_end(layout: Layout, engine: Path) -> None:
    """Writes the Python back end's folder; ``engine`` is the one that Triton is installed in.

    The back end looks for its process beside its library, and only there, so a folder of our own holds links to the
    library and the process of the right Python.
    """
    backend = layout.backends / "python"
    shutil.rmtree(backend, ignore_errors=True)
    backend.mkdir(parents=True)
    for name in BACKEND_FILES:
        (backend / name).symlink_to(engine / SERVER / "backends" / "python" / name)
    stub = Path(shutil.copyfile(stub_of(engine), backend / STUB))
    stub.chmod(0o755)


def samples_executed(layout: Layout) -> int:
    """By all instances of the model since they were loaded, as the model program counts them."""
    files = layout.scratch.glob(f"*{COUNTER_SUFFIX}")
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
