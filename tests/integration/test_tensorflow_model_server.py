"""Platform ``tfserving``, with a test program in the place of the real ``tensorflow_model_server``."""

from pathlib import Path

import numpy as np
import pytest
from support.asking import ask
from support.engines import require_engine
from support.model_server_program import VERSION, install_model_server
from support.saved_models import affine, saved_model
from support.serving import READY_NS, is_open, serve_request, started

from follower.serve.tensorflow.platform import TfServingPlatform
from shared.errors import AttemptFailed
from shared.jobs.lifecycle import Cause
from shared.jobs.spec import ServiceSpec


@pytest.fixture
def platform(tmp_path: Path) -> TfServingPlatform:
    """It finds the test program."""
    require_engine("tensorflow")
    return TfServingPlatform(path=str(install_model_server(tmp_path / "bin")))


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_a_server_that_reports_nothing_is_watched_until_it_answers(
    platform: TfServingPlatform, tmp_path: Path, protocol: str
) -> None:
    """Ports chosen here, batching and monitoring configured; answers and counters come back."""
    service_spec = ServiceSpec.model_validate(
        {"platform": "tfserving", "protocol": protocol, "batching": {"max_batch_size": 4, "max_delay_ms": 1}}
    )
    request = serve_request(affine(tmp_path), tmp_path / "run", service_spec)
    with started(platform, request) as service:
        cold = service.wait_ready(READY_NS)
        x = np.ones((2, 4), np.float32)
        np.testing.assert_array_equal(ask(service.endpoint, x=x)["y"], 2 * x + 1)
        statistics, facts = service.statistics(), service.facts()
        endpoint = service.endpoint
    phases = [cold.spawned_ms, cold.port_open_ms, cold.model_loaded_ms, cold.ready_ms, cold.first_inference_ms]
    known = [phase for phase in phases if phase is not None]
    assert len(known) == 5
    assert known == sorted(known)
    assert statistics is not None
    assert statistics.inferences == 3
    assert facts == {"engine": "tfserving", "version": VERSION, "launch": {"launcher": "process"}}
    assert (tmp_path / "run/setup/batching.config").read_text().startswith("max_batch_size { value: 4 }\n")
    assert not is_open(endpoint)


def test_its_offer_has_the_programs_own_version(platform: TfServingPlatform) -> None:
    """Asked for once."""
    offer = platform.offer()
    assert offer is not None
    assert (offer.platform, offer.version, offer.protocol) == ("tfserving", VERSION, ("http", "grpc"))


def test_a_model_that_does_not_load_ends_the_start(platform: TfServingPlatform, tmp_path: Path) -> None:
    """With the server's reason."""
    path = saved_model("elsewhere", tmp_path)
    with started(platform, serve_request(path, tmp_path / "run", ServiceSpec(platform="tfserving"))) as service:
        with pytest.raises(AttemptFailed) as caught:
            service.wait_ready(READY_NS)
        assert caught.value.cause is Cause.MODEL_LOAD_FAILED


def program(folder: Path, body: str) -> TfServingPlatform:
    """A server that tells its version, and otherwise does this."""
    folder.mkdir()
    path = folder / "tensorflow_model_server"
    path.write_text(f'#!/bin/sh\nif [ "$1" = --version ]; then echo TensorFlow ModelServer: 1; exit; fi\n{body}\n')
    path.chmod(0o755)
    return TfServingPlatform(path=str(folder))


@pytest.mark.parametrize(
    ("said", "cause"),
    [
        (
            "Failed to start server. Error: Unknown: 1 servable(s) did not become available: {m}",
            Cause.MODEL_LOAD_FAILED,
        ),
        ("Failed to bind to address", Cause.SERVER_DIED),
    ],
)
def test_the_end_of_the_real_program_is_told_by_its_last_words(tmp_path: Path, said: str, cause: Cause) -> None:
    """It exits alike for a broken model and for a port in use."""
    platform = program(tmp_path / "bin", f"echo '{said}' >&2; exit 1")
    (tmp_path / "model").mkdir()
    with started(platform, serve_request(tmp_path / "model", tmp_path / "run", ServiceSpec(platform="tfserving"))) as s:
        with pytest.raises(AttemptFailed) as caught:
            s.wait_ready(READY_NS)
        assert caught.value.cause is cause
        assert said in caught.value.log_tail
