"""The engines in containers, from an image that holds them: whole attempts, on a real container engine."""

from dataclasses import replace
from pathlib import Path

import pytest
from support.assignments import assignment, run_spec
from support.attempt_process import attempt_process
from support.container_engine import contained, require_image
from support.containers import containers_in
from support.engines import require_engine
from support.serving import serve_request

from follower.engines.folder import installed_version
from follower.serve.containers.images import DEFAULT_IMAGES
from follower.serve.platforms import PLATFORMS
from shared.errors import NotAvailable
from shared.jobs.formats import PlatformName
from shared.jobs.spec import ServiceSpec

pytestmark = [contained, pytest.mark.usefixtures("container_engine")]

ENGINES = [("openvino", "openvino"), ("torchscript", "torch"), ("tfs-compat", "tensorflow")]


@pytest.mark.parametrize(("platform", "engine"), ENGINES)
def test_a_cold_start_is_measured_in_a_container(tmp_path: Path, platform: str, engine: str) -> None:
    """Every phase of every start, the engine as pinned, of the image; nothing is left of any container."""
    require_engine(engine)
    require_image(platform)
    workload = {"pattern": "cold-start", "repeats": 2, "inferences": 12}
    spec = run_spec(service={"platform": platform, "launch": "docker"}, workload=workload)
    with attempt_process(tmp_path, assignment(spec=spec)) as attempt:
        record = attempt.succeed(240).record
    assert containers_in(tmp_path) == []
    assert record.cold_starts is not None
    for repeat in record.cold_starts.repeats:
        phases = list(repeat.phases.model_dump().values())
        assert None not in phases
        assert phases == sorted(phases)
    served = record.environment["in_force"]["service"]
    assert served["engine"] == platform
    assert served["version"] == installed_version(engine)
    assert (served["launch"]["launcher"], served["launch"]["image"]) == ("docker", DEFAULT_IMAGES[platform])


@pytest.mark.parametrize("platform", ["onnxruntime", *(platform for platform, _ in ENGINES)])
def test_the_operators_image_takes_the_place_of_ours(tmp_path: Path, platform: PlatformName) -> None:
    """Where it is missing, that is what is told: ours is no way out."""
    service = ServiceSpec(platform=platform, launch="docker")
    request = replace(serve_request(tmp_path / "model", tmp_path / "run", service), image="nobody/nothing:1")
    with pytest.raises(NotAvailable, match="'nobody/nothing:1' is not on this machine"):
        PLATFORMS[platform].start(request)
    assert not (tmp_path / "run").exists()
