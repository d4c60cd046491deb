"""How long a container of the ONNX Runtime service takes to be ready, its image warm."""

import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path
from statistics import median
from typing import Final

from support.container_engine import NoEngine, running_engine
from support.serving import READY_NS, serve_request, started

from benchmarks.figure import Figure
from follower.serve.modelserver.platform import ModelServerPlatform
from images import debian
from images.table import IMAGES
from model_repo.canonical.families import generate
from shared.jobs.spec import FullyConnectedModel, ServiceSpec

STARTS: Final = 7
TARGET_S: Final = 2.5
NAME: Final = "container of the ONNX Runtime service, warm image: start to ready"


def container_launch() -> Iterable[Figure]:
    """From the decision to start until the service says that it is ready: median of seven starts, after one unmeasured.

    The engine is this machine's, or one that is started for it. Bias: the disk's cache is warm, and the model small.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        try:
            with running_engine(folder / "dockerd.log"):
                IMAGES["model-server"].build(debian.base())
                ready_s = _starts(folder, "docker")
                process_s = _starts(folder, "process")
        except (NoEngine, OSError, RuntimeError, subprocess.SubprocessError) as error:
            yield Figure(name=NAME, measured=None, unit="s", high=TARGET_S, detail=f"no container engine: {error}")
            return
    detail = f"{min(ready_s):.2f} to {max(ready_s):.2f} s; as a process {median(process_s):.2f} s"
    yield Figure(name=NAME, measured=median(ready_s), unit="s", high=TARGET_S, detail=detail)


def _starts(folder: Path, launch: str) -> list[float]:
    """Seconds to ready of each start but the first."""
    model = folder / "model.onnx"
    model.write_bytes(generate(FullyConnectedModel(family="fc", layers=1, width=8)).onnx_bytes)
    spec = ServiceSpec.model_validate({"platform": "onnxruntime", "launch": launch})
    taken = []
    for number in range(STARTS + 1):
        request = serve_request(model, folder / f"{launch}-{number}", spec)
        with started(ModelServerPlatform("onnxruntime"), request) as service:
            taken.append((service.wait_ready(READY_NS).ready_ms or 0.0) / 1e3)
    return taken[1:]
