"""How long each platform takes from nothing to its first answer, as a process and as a container."""

import subprocess
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Final

from support import saved_models, served_models, torch_models
from support.container_engine import NoEngine, build_image, running_engine
from support.serving import READY_NS, serve_request, started

from benchmarks.figure import Figure
from follower.serve.platforms import PLATFORMS
from shared.jobs.formats import PlatformName
from shared.jobs.spec import ServiceSpec
from shared.measure.record import ColdStart

STARTS: Final = 3
MOST_ADDED_S: Final = 1.0
"""What making a container may add: docs/platforms/containers.md tells people 0.4 to 0.7 s."""

PHASES: Final = ("port_open", "model_loaded", "ready", "first_inference")


def _onnx(folder: Path) -> Path:
    return served_models.affine(folder / "model.onnx")


MODELS: Final[Mapping[PlatformName, Callable[[Path], Path]]] = {
    "onnxruntime": _onnx,
    "openvino": _onnx,
    "torchscript": lambda folder: torch_models.affine(folder / "model.pt"),
    "triton": _onnx,
    "tfs-compat": saved_models.affine,
}


def cold_starts() -> Iterable[Figure]:
    """What a container adds to a start, per platform: difference of the medians of three starts each, taken in turns.

    Both are told in full, with their phases. One start of each before is not counted. Bias: a model of no size, and the
    disk's cache is warm, so what remains is the software's own.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        try:
            with running_engine(folder / "dockerd.log"):
                yield from [_figure(platform, folder / platform) for platform in MODELS]
        except NoEngine as error:
            yield Figure(name="cold starts", measured=None, unit="s", high=MOST_ADDED_S, detail=str(error))


def _figure(platform: PlatformName, folder: Path) -> Figure:
    offer = PLATFORMS[platform].offer()
    if offer is None or "process" not in offer.launch:
        return added(platform, [], [], why="its engine is not installed")
    try:
        build_image(platform)
    except (OSError, RuntimeError, subprocess.SubprocessError) as error:
        return added(platform, [], [], why=f"no image: {error}")
    folder.mkdir()
    model = MODELS[platform](folder)
    both = [(_start(platform, "process", model), _start(platform, "docker", model)) for _ in range(STARTS + 1)][1:]
    return added(platform, [process for process, _ in both], [container for _, container in both])


def _start(platform: PlatformName, launch: str, model: Path) -> ColdStart:
    spec = ServiceSpec.model_validate({"platform": platform, "launch": launch})
    with (
        tempfile.TemporaryDirectory(dir=model.parent) as workdir,
        started(PLATFORMS[platform], serve_request(model, Path(workdir) / "run", spec)) as service,
    ):
        return service.wait_ready(READY_NS)


def added(platform: str, process: Sequence[ColdStart], container: Sequence[ColdStart], why: str = "") -> Figure:
    """The figure of these starts; not measured where there are none, because of ``why``."""
    name = f"cold start of {platform}: what a container adds to a process"
    if why:
        return Figure(name=name, measured=None, unit="s", high=MOST_ADDED_S, detail=why)
    detail = f"process {_told(process)}; container {_told(container)}"
    measured = _median_s(container, "first_inference") - _median_s(process, "first_inference")
    return Figure(name=name, measured=measured, unit="s", high=MOST_ADDED_S, detail=detail)


def _told(starts: Sequence[ColdStart]) -> str:
    phases = {phase.replace("_", " "): _median_s(starts, phase) for phase in PHASES}
    return ", ".join(f"{phase} {seconds:.2f}" for phase, seconds in phases.items()) + " s"


def _median_s(starts: Sequence[ColdStart], phase: str) -> float:
    """NaN for a phase that the platform does not show."""
    taken = [getattr(start, f"{phase}_ms") for start in starts]
    return median(taken) / 1e3 if all(value is not None for value in taken) else float("nan")
