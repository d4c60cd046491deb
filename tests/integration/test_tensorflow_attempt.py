"""A generated model, made and served by TensorFlow, benchmarked from end to end."""

import hashlib
import io
import tarfile
from pathlib import Path
from typing import Any

import pytest
from support.assignments import assignment, run_spec
from support.attempt_process import attempt_process
from support.engines import require_engine
from support.fake_leader import TOKEN, fake_leader
from support.saved_models import affine

from model_repo.savedmodel_tar import pack
from shared.jobs.lifecycle import Cause
from shared.measure.record import Record
from shared.wire.assignment import ModelPin


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_a_generated_model_is_benchmarked_on_the_stand_in(tmp_path: Path, protocol: str) -> None:
    """The record names what served, everywhere it says so, and knows the stages that the server sent."""
    require_engine("tensorflow")
    service: dict[str, Any] = {
        "platform": "tfs-compat",
        "protocol": protocol,
        "batching": {"max_batch_size": 4, "max_delay_ms": 2},
    }
    workload = {"pattern": "closed", "concurrency": 4, "warmup": "300ms", "duration": "1s"}
    task = assignment(spec=run_spec(workload=workload, service=service))
    with attempt_process(tmp_path, task) as attempt:
        record: Record = attempt.succeed().record
    assert record.errors == {}
    assert record.spec["service"]["platform"] == "tfs-compat"
    assert record.environment["in_force"]["service"]["engine"] == "tfs-compat"
    assert "tfserving" not in record.model_dump_json()
    assert record.stages["queue"].mean_ms is not None
    assert record.stages["inference"].mean_ms is not None
    assert record.model_card["format"] == "savedmodel"


def test_a_savedmodel_is_fetched_unpacked_and_served_by_its_own_signature(tmp_path: Path) -> None:
    """Its card says nothing of inputs; they are read from the server."""
    require_engine("tensorflow")
    pack(affine(tmp_path), tmp_path / "model.tar")
    content = (tmp_path / "model.tar").read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    (tmp_path / "token").write_text(TOKEN)
    pin = ModelPin(name="affine", version=1, sha256=digest, size_bytes=len(content), card={"format": "savedmodel"})
    spec = run_spec(model={"name": "affine"}, service={"platform": "tfs-compat", "protocol": "grpc"})
    with fake_leader() as leader:
        leader.blobs[digest] = content
        with attempt_process(tmp_path, assignment(spec=spec, model=pin), leader_url=leader.url) as attempt:
            record = attempt.succeed().record
    assert record.errors == {}
    assert record.load is not None
    assert record.load.sent > 0


def test_an_archive_with_a_way_out_starts_no_server(tmp_path: Path) -> None:
    """The follower looks for itself, whatever the leader let through."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        tar.addfile(tarfile.TarInfo("../evil"))
    digest = hashlib.sha256(out.getvalue()).hexdigest()
    (tmp_path / "token").write_text(TOKEN)
    size_bytes = len(out.getvalue())
    pin = ModelPin(name="evil", version=1, sha256=digest, size_bytes=size_bytes, card={"format": "savedmodel"})
    spec = run_spec(model={"name": "evil"}, service={"platform": "tfs-compat"})
    with fake_leader() as leader:
        leader.blobs[digest] = out.getvalue()
        with attempt_process(tmp_path, assignment(spec=spec, model=pin), leader_url=leader.url) as attempt:
            failure = attempt.fail()
    assert failure.cause is Cause.MODEL_UNAVAILABLE
    assert "../evil" in failure.detail
    assert list(tmp_path.rglob("evil")) == []
