"""What a run took as a document, also as older versions wrote it."""

from dataclasses import replace
from datetime import timedelta

import pytest
from support.stored_runs import T0

from leader.perfdb.entities import Spent
from leader.perfdb.outlook import spent_from_document, spent_to_document
from shared.scheduling.setup_times import Served

SPENT = Spent(
    run_id="j-1.0000", team="vision", follower="f1", served=Served("onnxruntime", 'a "model"', "family"),
    occupied_s=12.5, last_s=10.0, predicted_s=9.0, predicted_p90_s=None, setup_s=1.5, collection_s=None,
    submitted_at=T0, device="cuda", ended_at=T0 + timedelta(seconds=40),
)  # fmt: skip


@pytest.mark.parametrize("spent", [SPENT, replace(SPENT, submitted_at=None, device=None)])
def test_an_entry_comes_back_as_it_was(spent: Spent) -> None:
    """To the microsecond, with what is not known."""
    assert spent_from_document(spent_to_document(spent)) == spent


def test_an_entry_of_an_older_version_is_read() -> None:
    """It does not say when the run was submitted, nor on what device it ran."""
    older = {key: value for key, value in spent_to_document(SPENT).items() if key not in ("submitted_at_us", "device")}
    assert spent_from_document(older) == replace(SPENT, submitted_at=None, device=None)
