"""What followers of several kinds announce, and small runs to place on them."""

from typing import Any

from shared.jobs.spec import RunSpec
from shared.wire.identity import Capabilities, PlatformOffer, Slot

CPU_OFFER = PlatformOffer(platform="onnxruntime", version="1", launch=("process",), protocol=("http",), device=("cpu",))

CPU_FOLLOWER = Capabilities(
    platforms=(CPU_OFFER,),
    patterns=("closed", "constant", "poisson"),
    networks=("none",),
    pipeline_sides=("client",),
    ops=("decode_image", "resize", "softmax"),
    model_families=("fc", "cnn"),
    datasets=("synthetic", "text-lines"),
)

CPU_SLOT = Slot(name="cpu0", device="cpu", server_cores=(0,), client_cores=(1,))
GPU_SLOT = Slot(name="gpu0", device="cuda", server_cores=(0,), client_cores=(1,), gpus=(0,))


def run_spec(**changes: Any) -> RunSpec:
    """A run that ``CPU_FOLLOWER`` can run, with changes."""
    base: dict[str, Any] = {"model": {"generate": {"family": "fc"}}, "workload": {"pattern": "closed"}}
    return RunSpec.model_validate({**base, **changes})
