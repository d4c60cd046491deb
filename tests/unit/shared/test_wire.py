"""Messages between processes arrive as they were sent."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from shared.jobs.document import read_document
from shared.wire.assignment import Assignment, ModelPin
from shared.wire.identity import Heartbeat

EXAMPLES = sorted((Path(__file__).parents[3] / "examples" / "jobs").glob("*.yaml"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_assignment_carries_the_run_unchanged(path: Path) -> None:
    """Durations, choices and lists of ops survive the way to the follower, for every run of every example."""
    pin = ModelPin(name="m", version=1, sha256="a" * 64, size_bytes=1, card={"labels": ["a", "b"]})
    for run in read_document(path.read_bytes()).runs:
        sent = Assignment(
            run_id="r", job_id="j", attempt=1, fence=1, lease_s=15.0, spec=run.spec, model=pin, dataset=None
        )
        assert Assignment.model_validate_json(sent.model_dump_json()) == sent


def test_an_unknown_key_in_a_message_is_an_error() -> None:
    """Two versions that disagree must not talk past each other."""
    with pytest.raises(ValidationError, match="extra_forbidden"):
        Heartbeat.model_validate({"incarnation": "i", "busy": []})
