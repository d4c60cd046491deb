"""What the sender gets, from the order and from what the service says of its model."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.assignments import assignment, inventory, run_spec, slot

from follower.attempt.load import build_load
from follower.attempt.order import AttemptDir, AttemptOrder
from follower.attempt.prepare import Prepared
from follower.generate.datasets.dataset import Dataset, Sample
from follower.generate.models import Model, obtain_model
from follower.inventory.preflight import Preflight
from follower.load.dialects import target_of
from follower.load.protocol import LoadRequest
from follower.serve.protocol import Endpoint, ModelMetadata, TensorInfo
from shared.errors import AttemptFailed
from shared.jobs.feeding import Feed
from shared.jobs.lifecycle import Cause

ENDPOINT = Endpoint(host="127.0.0.1", port=4711, model_name="small")
X = TensorInfo(name="x", datatype="FP32", shape=(-1, 8))
Y = TensorInfo(name="y", datatype="FP32", shape=(-1, 2))
MODEL = ModelMetadata(name="small", inputs=(X,), outputs=(Y,))
SAMPLES = Dataset(
    name="three", version=1, samples=tuple(Sample(name=f"s{i}", data=bytes([i]), label=None) for i in range(3))
)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    """The small generated one."""
    return obtain_model(assignment(), tmp_path_factory.mktemp("model"), None)  # type: ignore[arg-type]


def load(
    tmp_path: Path, model: Model, *, dataset: Dataset | None = None, trace: Any = None, client: Any = (),
    endpoint: Endpoint = ENDPOINT, **job: Any,
) -> LoadRequest:  # fmt: skip
    """The load of the small job with sections replaced."""
    order = AttemptOrder(
        follower="f", incarnation="i", slot=slot(client_cores=client, server_cores=(1,)), inventory=inventory(),
        assignment=assignment(spec=run_spec(**job)), leader_url="http://127.0.0.1:9", token_file=tmp_path,
        cache_dir=tmp_path, max_cache_bytes=1, preflight="off", max_busy_share=0.3, invalid_busy_share=0.7,
    )  # fmt: skip
    prepared = Prepared(order, AttemptDir(tmp_path), Preflight(busy_share=None), model, dataset, trace)
    return build_load(prepared, MODEL, endpoint)


@pytest.mark.parametrize("dialect", ["openinference-http", "openinference-grpc"])
def test_requests_go_where_the_service_takes_them(tmp_path: Path, model: Model, dialect: Any) -> None:
    """As many different ones as the job asks for, encoded in what is spoken there."""
    endpoint = replace(ENDPOINT, dialect=dialect)
    request = load(tmp_path, model, endpoint=endpoint, requests={"distinct": 5})
    assert request.target == target_of(endpoint)
    assert len(set(request.encoded)) == 5
    assert request.raw == ()
    assert request.encoded[0].startswith(b"POST ") == (dialect == "openinference-http")


def test_samples_of_a_dataset_are_left_raw(tmp_path: Path, model: Model) -> None:
    """In batches; the last is filled up from the start."""
    request = load(tmp_path, model, dataset=SAMPLES, requests={"dataset": "three", "batch_size": 2})
    assert request.raw == ((b"\0", b"\1"), (b"\2", b"\0"))
    assert request.encoded == ()
    assert (request.feeds, request.output_name) == ((Feed("x", "FP32", "sample"),), "y")


@pytest.mark.parametrize("asked", [True, False])
def test_kernel_time_stamps_are_taken_where_the_job_asks(tmp_path: Path, model: Model, asked: bool) -> None:
    """And not otherwise."""
    request = load(tmp_path, model, collect={"kernel_timestamps": asked})
    assert request.kernel_timestamps is asked
    assert request.folder == tmp_path


@pytest.mark.parametrize(("client", "own"), [((0,), True), ((0, 1), False), ((), False)])
def test_a_client_core_is_its_own_where_nothing_is_served_on_it(
    tmp_path: Path, model: Model, client: tuple[int, ...], own: bool
) -> None:
    """The service has core 1."""
    assert load(tmp_path, model, client=client).own_core is own


def test_a_trace_becomes_the_plan(tmp_path: Path, model: Model) -> None:
    """Its arrivals, from the first one on."""
    workload = {"pattern": "trace", "trace": "june", "warmup": "0s", "duration": "1s"}
    request = load(tmp_path, model, workload=workload, trace=np.asarray([0, 5, 90], dtype=np.int64))
    assert request.plan.due_ns.tolist() == [0, 5, 90]


def test_a_trace_that_is_missing_is_the_runs_own_fault(tmp_path: Path, model: Model) -> None:
    """It is named before anything is sent."""
    workload = {"pattern": "trace", "trace": "june", "warmup": "0s", "duration": "1s"}
    with pytest.raises(AttemptFailed) as caught:
        load(tmp_path, model, workload=workload)
    assert caught.value.cause is Cause.PIPELINE_FAILED
