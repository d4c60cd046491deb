"""How long a run will take, in closed form: what the job file says, plus a set-up time per platform.

    predicted = set-up + warm-up + duration + collection

Warm-up and duration are exact, because the window ends by the clock whatever the server does; the drain of late
requests is bounded by the request timeout but short in every healthy run, so it is left out. Set-up is a prior per
platform until measured start times replace it.
"""

from collections.abc import Mapping
from typing import Final

from shared.jobs.spec import RunSpec

SETUP_S: Final[Mapping[str, float]] = {
    "onnxruntime": 2.0,
    "torchscript": 8.0,
    "tfserving": 10.0,
    "triton": 15.0,
    "endpoint": 0.5,
}
"""Platform -> seconds from the claim to the first warm-up request: a prior, for a model already on the follower."""

COLLECTION_S: Final = 1.5
"""Seconds from the end of the window to the stored record."""

_NS_PER_S: Final = 1e9


def predicted_s(spec: RunSpec, setup_s: Mapping[str, float] = SETUP_S) -> float:
    """Seconds that a follower's slot will be taken by the run."""
    window_s = (spec.workload.warmup + spec.workload.duration) / _NS_PER_S
    return setup_s[spec.service.platform] + window_s + COLLECTION_S
