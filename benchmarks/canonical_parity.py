"""Canonical networks in every format, with the same weights: how far are their outputs from the ONNX file's?"""

import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import numpy as np
import onnxruntime  # type: ignore[import-untyped]
from pydantic import TypeAdapter
from support.asking import ask
from support.serving import ready, serve_request

from benchmarks.figure import Figure
from follower.engines.folder import installed_version
from follower.generate.models import MAKERS
from follower.serve.platforms import PLATFORMS
from model_repo.canonical.architecture import input_shape
from model_repo.canonical.families import FAMILIES, generate
from shared.jobs.formats import ModelFormat, PlatformName
from shared.jobs.spec import CanonicalSpec, ServiceSpec

LARGEST_ERROR: Final = 1e-4
BATCH: Final = 8

_SERVED: Final[tuple[tuple[ModelFormat, str, PlatformName], ...]] = (
    ("savedmodel", "tensorflow", "tfs-compat"),
    ("torchscript", "torch", "torchscript"),
)
"""Format, the engine that writes and serves it, the platform."""


def canonical_parity() -> Iterable[Figure]:
    """Largest difference between any two scores, ONNX Runtime in this process against the format as it is served.

    Each family at its default size, 8 random samples. Bias: none; a difference of layouts would be of the order of
    the scores, which are about 1.
    """
    for format_, engine, platform in _SERVED:
        for family in sorted(FAMILIES):
            name = f"canonical {family}, ONNX against {format_}, same weights: max abs error"
            if installed_version(engine) is None:
                detail = f"engine {engine} is not installed"
                yield Figure(name=name, measured=None, unit="", high=LARGEST_ERROR, detail=detail)
                continue
            error, largest = _error(family, format_, platform)
            detail = f"{error:.1e}; largest score {largest:.2f}"
            yield Figure(name=name, measured=error, unit="", high=LARGEST_ERROR, detail=detail)


def _error(family: str, format_: ModelFormat, platform: PlatformName) -> tuple[float, float]:
    """Largest absolute difference, and largest absolute score."""
    spec = TypeAdapter[CanonicalSpec](CanonicalSpec).validate_python({"family": family})
    x = np.random.default_rng(7).standard_normal((BATCH, *input_shape(spec))).astype(np.float32)
    session = onnxruntime.InferenceSession(generate(spec).onnx_bytes, providers=["CPUExecutionProvider"])
    (right,) = session.run(None, {"input": x})
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        model = MAKERS[format_](spec, folder)
        request = serve_request(model.path, folder / "run", ServiceSpec(platform=platform))
        with ready(PLATFORMS[platform], request) as service:
            outputs = ask(service.endpoint, input=x)
    found = outputs.get("scores", outputs.get(""))
    if found is None:
        raise ValueError(f"{platform} answers without scores: {sorted(outputs)}")
    return float(np.abs(found - right).max()), float(np.abs(right).max())
