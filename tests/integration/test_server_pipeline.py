"""``pipeline.side: server``: raw samples go to the service, which answers what they mean."""

import hashlib
from pathlib import Path
from typing import Any

import pytest
from support.assignments import assignment, run_spec
from support.attempt_process import attempt_process
from support.engines import require_engine
from support.fake_leader import TOKEN, fake_leader

from follower.agent.reap import carriers_of
from model_repo.packaged.installed import load
from shared.jobs.lifecycle import Cause
from shared.measure.recompute import derive_again
from shared.measure.record import Record
from shared.measure.samples_file import read_samples
from shared.wire.assignment import ModelPin

READING: dict[str, Any] = {
    "preprocess": [
        {"op": "decode_image", "channels": "bgr"},
        {"op": "resize", "size": [48, 320], "keep_aspect": True},
        {"op": "normalize", "mean": [0.5], "std": [0.5]},
        {"op": "channels_first"},
    ],
    "postprocess": [{"op": "ctc_decode"}],
}
SMALL_CNN = {"generate": {"family": "cnn", "layers": 1, "width": 4, "image_size": 32}}
CLASSIFYING: dict[str, Any] = {
    "side": "server",
    "preprocess": [
        {"op": "decode_image"},
        {"op": "resize", "size": [32, 32]},
        {"op": "normalize"},
        {"op": "channels_first"},
    ],
    "postprocess": [{"op": "softmax"}, {"op": "top_k", "k": 3}],
}


WATCHING: dict[str, Any] = {
    "preprocess": [
        {"op": "decode_frames", "count": 4, "channels": "bgr"},
        {"op": "resize", "size": [48, 192], "keep_aspect": True},
        {"op": "normalize", "mean": [0.5], "std": [0.5]},
        {"op": "channels_first"},
    ],
    "postprocess": [{"op": "top_k"}],
}


def measured(root: Path, name: str, dataset: str, pipeline: dict[str, Any]) -> Record:
    """A packaged model on a built-in dataset."""
    root.mkdir()
    path, card = load(name)
    content = path.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    (root / "token").write_text(TOKEN)
    with fake_leader() as leader:
        leader.blobs[digest] = content
        pin = ModelPin(name=name, version=1, sha256=digest, size_bytes=len(content), card=card.model_dump(mode="json"))
        spec = run_spec(
            model={"name": name},
            requests={"dataset": dataset},
            pipeline=pipeline,
            workload={"pattern": "closed", "concurrency": 1, "warmup": "200ms", "duration": "2s"},
        )
        with attempt_process(root, assignment(spec=spec, model=pin), leader_url=leader.url) as attempt:
            record = attempt.succeed().record
            assert carriers_of(root) == ()
    assert derive_again(read_samples(attempt.directory.samples), record) == []
    return record


def test_the_server_reads_what_the_client_reads(tmp_path: Path) -> None:
    """The same ops on either side give the same answers; the stages say whose work it was."""
    client, server = (
        measured(tmp_path / side, "ppocr-rec", "text-lines", {"side": side, **READING}) for side in ("client", "server")
    )
    assert client.quality is not None
    assert server.quality is not None
    assert server.quality.n == 32
    assert server.quality == client.quality
    for record in (client, server):
        stages = {name: stage.mean_ms or 0.0 for name, stage in record.stages.items()}
        assert sum(stages.values()) == pytest.approx(record.response_latency.mean_ms)
        assert stages["preprocess"] > 0.2
        assert stages["postprocess"] > 0
        assert abs(stages["unattributed"]) < 0.1 * sum(stages.values())
    assert server.errors == {}


@pytest.mark.parametrize("side", ["client", "server"])
def test_a_video_is_watched_frame_by_frame(tmp_path: Path, side: str) -> None:
    """Four frames of each clip in one batch, one answer for each clip, on either side, and nearly all of them right."""
    record = measured(tmp_path / side, "ppocr-cls", "text-clips", {"side": side, **WATCHING})
    assert record.quality is not None
    assert record.quality.n == 16
    assert record.quality.value is not None
    assert record.quality.value >= 0.9
    assert record.batch_size_mean == 4
    assert record.errors == {}


@pytest.mark.parametrize("postprocess", [CLASSIFYING["postprocess"], [{"op": "softmax"}], []])
def test_whatever_the_ops_end_in_is_answered(tmp_path: Path, postprocess: list[dict[str, Any]]) -> None:
    """The best classes, or the model's own output where they stop at numbers; two samples in a request."""
    spec = run_spec(
        model=SMALL_CNN,
        requests={"dataset": "text-lines", "batch_size": 2},
        pipeline={**CLASSIFYING, "postprocess": postprocess},
        workload={"pattern": "closed", "concurrency": 2, "warmup": "200ms", "duration": "1s"},
    )
    with attempt_process(tmp_path, assignment(spec=spec)) as attempt:
        record = attempt.succeed().record
    assert record.errors == {}
    assert (record.quality is not None) == (len(postprocess) == 2)
    columns = read_samples(attempt.directory.samples).columns
    ok = columns["error"] == 0
    assert (columns["server_preprocess_ns"][ok] > 0).all()
    assert (columns["server_postprocess_ns"][ok] >= 0).all()
    told_ns = sum(columns[f"server_{part}_ns"][ok] for part in ("queue", "preprocess", "inference", "postprocess"))
    assert (told_ns <= columns["server_total_ns"][ok]).all()


def test_another_runtime_of_the_server_runs_the_same_pipeline(tmp_path: Path) -> None:
    """The processors belong to the server, not to one engine."""
    require_engine("openvino")
    spec = run_spec(
        model=SMALL_CNN,
        service={"platform": "openvino"},
        requests={"dataset": "text-lines"},
        pipeline=CLASSIFYING,
        workload={"pattern": "closed", "concurrency": 1, "warmup": "200ms", "duration": "1s"},
    )
    with attempt_process(tmp_path, assignment(spec=spec)) as attempt:
        record = attempt.succeed().record
    assert record.errors == {}
    assert record.quality is not None
    assert record.stages["preprocess"].n > 0


def test_a_sample_that_the_server_cannot_process_is_an_error_and_no_end(tmp_path: Path) -> None:
    """A video's op on pictures: every answer is a refusal, and the attempt says what it was."""
    pipeline = {"side": "server", "preprocess": [{"op": "decode_frames", "count": 2}, *CLASSIFYING["preprocess"][1:]]}
    spec = run_spec(model=SMALL_CNN, requests={"dataset": "text-lines"}, pipeline=pipeline)
    with attempt_process(tmp_path, assignment(spec=spec)) as attempt:
        failure = attempt.fail()
    assert failure.cause is Cause.PIPELINE_FAILED
    assert "not a complete animated image" in failure.detail


def test_ops_that_cannot_be_built_end_the_attempt_before_a_server_starts(tmp_path: Path) -> None:
    """The direction classifier has two labels; a reader's op needs the characters of a card."""
    path, card = load("ppocr-rec")
    content = path.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    (tmp_path / "token").write_text(TOKEN)
    bare = card.model_copy(update={"labels": ()})
    with fake_leader() as leader:
        leader.blobs[digest] = content
        pin = ModelPin(
            name="ppocr-rec", version=1, sha256=digest, size_bytes=len(content), card=bare.model_dump(mode="json")
        )
        spec = run_spec(
            model={"name": "ppocr-rec"}, requests={"dataset": "text-lines"}, pipeline={"side": "server", **READING}
        )
        with attempt_process(tmp_path, assignment(spec=spec, model=pin), leader_url=leader.url) as attempt:
            failure = attempt.fail()
    assert failure.cause is Cause.PIPELINE_FAILED
    assert "labels" in failure.detail
