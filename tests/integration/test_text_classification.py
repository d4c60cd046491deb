"""A tokenizer, the built-in messages and the packaged classifier of texts, through a whole attempt."""

import hashlib
from pathlib import Path
from typing import Any

import onnx
import pytest
from support.assignments import assignment, run_spec
from support.attempt_process import attempt_process
from support.fake_leader import TOKEN, fake_leader

from follower.pipeline.text import short_messages
from model_repo.packaged.installed import load
from shared.jobs.document import read_document
from shared.jobs.lifecycle import Cause
from shared.jobs.pipeline import SHORT_MESSAGES_SHA256
from shared.measure.recompute import derive_again
from shared.measure.record import Record
from shared.measure.samples_file import read_samples
from shared.wire.assignment import ModelPin

JOB = Path(__file__).parents[2] / "examples/jobs/text-classification.yaml"


def attempted(
    root: Path, side: str, tokenizer: dict[str, Any], *, name: str = "messages-cls", tokenizer_json: str | None = None
) -> Any:
    """The example's pipeline on one side, for a short while; what the attempt ended in."""
    example = read_document(JOB.read_bytes()).runs[0].spec
    pipeline = example.pipeline.model_dump(mode="json")
    pipeline["preprocess"] = [{"op": "tokenize", "max_length": 48, **tokenizer}]
    path, card = load(name)
    content = with_tokenizer(path.read_bytes(), tokenizer_json)
    digest = hashlib.sha256(content).hexdigest()
    root.mkdir()
    (root / "token").write_text(TOKEN)
    with fake_leader() as leader:
        leader.blobs[digest] = content
        spec = run_spec(
            model={"name": name},
            requests={"dataset": example.requests.dataset, "batch_size": 4},
            pipeline={**pipeline, "side": side},
            workload={"pattern": "closed", "concurrency": 1, "warmup": "200ms", "duration": "2s"},
        )
        pin = ModelPin(name=name, version=1, sha256=digest, size_bytes=len(content), card=card.model_dump(mode="json"))
        with attempt_process(root, assignment(spec=spec, model=pin), leader_url=leader.url) as attempt:
            if tokenizer and tokenizer_json is None:
                return attempt.fail()
            record = attempt.succeed().record
    assert derive_again(read_samples(attempt.directory.samples), record) == []
    return record


def with_tokenizer(content: bytes, tokenizer_json: str | None) -> bytes:
    """The model with a tokenizer in its metadata, as a user would put it there."""
    if tokenizer_json is None:
        return content
    model = onnx.load_from_string(content)
    onnx.helper.set_model_props(model, {"tokenizer.json": tokenizer_json})
    changed: bytes = model.SerializeToString()
    return changed


@pytest.mark.parametrize("name", ["messages-cls", "messages-masked"])
def test_messages_are_classified_on_either_side_alike(tmp_path: Path, name: str) -> None:
    """Four of five right at least, of texts that the model was not taught; guessing gives a quarter.

    One model takes ids alone, the other a mask beside them.
    """
    client, server = (attempted(tmp_path / side, side, {}, name=name) for side in ("client", "server"))
    for record in (client, server):
        assert isinstance(record, Record)
        assert record.errors == {}
        assert record.quality is not None
        assert record.quality.n == 320
        assert record.quality.metric == "top-1"
        assert record.quality.value == 273 / 320
        assert record.stages["preprocess"].n > 0
    assert server.quality == client.quality


@pytest.mark.parametrize("side", ["client", "server"])
def test_a_model_brings_its_own_tokenizer_along(tmp_path: Path, side: str) -> None:
    """In its file's metadata; here the built-in one, so that as many answers are right."""
    record = attempted(
        tmp_path / side,
        side,
        {"tokenizer": "model"},
        name="messages-masked",
        tokenizer_json=short_messages().to_str(),
    )
    assert record.errors == {}
    assert record.quality.value == 273 / 320


@pytest.mark.parametrize("side", ["client", "server"])
def test_a_model_without_a_tokenizer_of_its_own_is_said_before_a_server_starts(tmp_path: Path, side: str) -> None:
    """With where it would be looked for."""
    failure = attempted(tmp_path / side, side, {"tokenizer": "model"}, name="messages-masked")
    assert failure.cause is Cause.PIPELINE_FAILED
    assert "no metadata entry 'tokenizer.json'" in failure.detail
    assert not (tmp_path / side / "server" / "server.log").exists()


def test_an_input_that_the_model_does_not_have_is_said_before_a_server_starts(tmp_path: Path) -> None:
    """With the key of the job file, and what the model takes."""
    outputs = {"ids": "input_ids", "mask": "mask"}
    failure = attempted(tmp_path / "other", "client", {"outputs": outputs}, name="messages-masked")
    assert failure.cause is Cause.PIPELINE_FAILED
    assert "pipeline.preprocess[0].outputs.mask: model messages-masked: the model has no input mask" in failure.detail
    assert not (tmp_path / "other" / "server" / "server.log").exists()


def test_a_follower_with_another_tokenizer_of_that_name_refuses_the_job(tmp_path: Path) -> None:
    """Before anything is measured; it says which one it has and which one was asked for."""
    failure = attempted(tmp_path / "other", "server", {"tokenizer_sha256": "0" * 64})
    assert failure.cause is Cause.PIPELINE_FAILED
    assert SHORT_MESSAGES_SHA256 in failure.detail
    assert "0" * 64 in failure.detail
