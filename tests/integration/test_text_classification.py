"""A tokenizer, the built-in messages and the packaged classifier of texts, through a whole attempt."""

import hashlib
from pathlib import Path
from typing import Any

from support.assignments import assignment, run_spec
from support.attempt_process import attempt_process
from support.fake_leader import TOKEN, fake_leader

from model_repo.packaged.installed import load
from shared.jobs.document import read_document
from shared.jobs.lifecycle import Cause
from shared.jobs.pipeline import SHORT_MESSAGES_SHA256
from shared.measure.recompute import derive_again
from shared.measure.record import Record
from shared.measure.samples_file import read_samples
from shared.wire.assignment import ModelPin

JOB = Path(__file__).parents[2] / "examples/jobs/text-classification.yaml"


def attempted(root: Path, side: str, tokenizer: dict[str, Any]) -> Any:
    """The example's pipeline on one side, for a short while; what the attempt ended in."""
    example = read_document(JOB.read_bytes()).runs[0].spec
    pipeline = example.pipeline.model_dump(mode="json")
    pipeline["preprocess"][0].update(tokenizer)
    path, card = load("messages-cls")
    content = path.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    root.mkdir()
    (root / "token").write_text(TOKEN)
    with fake_leader() as leader:
        leader.blobs[digest] = content
        spec = run_spec(
            model={"name": "messages-cls"},
            requests={"dataset": example.requests.dataset, "batch_size": 4},
            pipeline={**pipeline, "side": side},
            workload={"pattern": "closed", "concurrency": 1, "warmup": "200ms", "duration": "2s"},
        )
        pin = ModelPin(
            name="messages-cls", version=1, sha256=digest, size_bytes=len(content), card=card.model_dump(mode="json")
        )
        with attempt_process(root, assignment(spec=spec, model=pin), leader_url=leader.url) as attempt:
            if tokenizer:
                return attempt.fail()
            record = attempt.succeed().record
    assert derive_again(read_samples(attempt.directory.samples), record) == []
    return record


def test_messages_are_classified_on_either_side_alike(tmp_path: Path) -> None:
    """Four of five right at least, of texts that the model was not taught; guessing gives a quarter."""
    client, server = (attempted(tmp_path / side, side, {}) for side in ("client", "server"))
    for record in (client, server):
        assert isinstance(record, Record)
        assert record.errors == {}
        assert record.quality is not None
        assert record.quality.n == 320
        assert record.quality.metric == "top-1"
        assert record.quality.value is not None
        assert 0.8 <= record.quality.value < 1
        assert record.stages["preprocess"].n > 0
    assert server.quality == client.quality


def test_a_follower_with_another_tokenizer_of_that_name_refuses_the_job(tmp_path: Path) -> None:
    """Before anything is measured; it says which one it has and which one was asked for."""
    failure = attempted(tmp_path / "other", "server", {"tokenizer_sha256": "0" * 64})
    assert failure.cause is Cause.PIPELINE_FAILED
    assert SHORT_MESSAGES_SHA256 in failure.detail
    assert "0" * 64 in failure.detail
