"""A reckoning that would not notice would be worth nothing: every broken promise is put before it once."""

import json
from dataclasses import replace
from typing import Any

import pytest
from chaos.book import Accepted, Book, Cancel
from chaos.occupancy import Occupant, Stay
from chaos.verdict import Ledger, late_results, violations

RUN = "j-1.0000"
SECOND = 1_000_000_000


def run(state: str = "succeeded", run_id: str = RUN, **changes: Any) -> dict[str, Any]:
    """A run's document: one attempt, fence 1, whose result ended it where the state says so."""
    delivered = {"delivered": 1, "state": state} if state in {"succeeded", "invalid", "failed"} else {}
    status = {"state": state, "attempt": 1, "fence": 1, "lease": None}
    return {
        "_id": run_id,
        "status": {**status, **changes.pop("status", {})},
        "recorded": int(state in {"succeeded", "invalid"}),
        "history": json.dumps([{"data": {}}, {"data": delivered}]),
        **changes,
    }


def record(run_id: str = RUN, attempt: int = 1) -> dict[str, Any]:
    """A record's document."""
    return {"_id": run_id, "record": json.dumps({"attempt": attempt})}


def stay(run_id: str = RUN, *, ended: bool = True, last_s: float = 1.0) -> Stay:
    """The first attempt on its device."""
    return Stay(Occupant("f1/cpu", run_id, 1, 1, 10), 0, round(last_s * SECOND), ended=ended)


GOOD = Ledger(
    jobs=[{"_id": "j-1", "complete": 1}],
    runs=[run()],
    records=[record()],
    ranked=[{"_id": RUN, "ranked": 1}],
    attempts=[{"_id": f"{RUN}:1", "run_id": RUN, "attempt": 1}],
    artifacts=[{"_id": f"{RUN}:1:log", "sha256": "abc"}],
    blobs=[{"_id": "abc", "file_id": "1"}],
    garbage=[{"_id": "2"}],
    files=["1", "2"],
)
NO_RESULT = replace(GOOD, records=[], ranked=[], attempts=[])


def book(deed: str = "succeed", state: str = "succeeded") -> Book:
    """One accepted run, last heard of as ``state``."""
    made = Book()
    made.accept("key", "j-1", {}, [Accepted(RUN, "j-1", deed, state)])
    return made


def found(ledger: Ledger, accepted: Book | None = None, stays: list[Stay] | None = None) -> str:
    """What is wrong, as one text; a cancelled run may use its device for 10 s more."""
    return "\n".join(violations(ledger, accepted or book(), [stay()] if stays is None else stays, 10.0))


def test_a_run_that_succeeded_once_is_all_right() -> None:
    """Nothing is found where nothing is wrong."""
    assert found(GOOD) == ""


@pytest.mark.parametrize(
    ("deed", "state", "ledger"),
    [
        ("fail", "failed", replace(NO_RESULT, runs=[run("failed")], attempts=GOOD.attempts)),
        ("invalid", "invalid", replace(GOOD, runs=[run("invalid")], ranked=[{"_id": RUN, "ranked": 0}])),
        ("crash", "lost", replace(NO_RESULT, runs=[run("lost")])),
        ("poison", "quarantined", replace(NO_RESULT, runs=[run("quarantined")])),
        ("succeed", "cancelled", replace(NO_RESULT, runs=[run("cancelled")])),
        ("succeed", "lost", replace(NO_RESULT, runs=[run("lost")])),
    ],
)
def test_every_end_that_script_and_damage_allow_is_all_right(deed: str, state: str, ledger: Ledger) -> None:
    """Infrastructure may lose any run, and people may cancel it."""
    assert found(ledger, book(deed, state)) == ""


@pytest.mark.parametrize(
    ("ledger", "words"),
    [
        (replace(GOOD, runs=[]), "was accepted and is not there"),
        (replace(NO_RESULT, runs=[run("running")]), "has not ended"),
        (replace(GOOD, runs=[run(), run("cancelled", "j-2.0000")]), "j-2.0000 is there and was never accepted"),
        (replace(GOOD, jobs=[{"_id": "j-2", "complete": 1}]), "job j-2 is there and was never accepted"),
        (replace(GOOD, jobs=[{"_id": "j-1", "complete": 0}]), "job j-1 is not marked complete"),
        (replace(GOOD, records=[record(), record()]), "has 2 records"),
        (replace(GOOD, records=[]), "is succeeded and has 0 records"),
        (replace(GOOD, runs=[run(recorded=0)]), "is not marked recorded"),
        (replace(GOOD, ranked=[]), "is ranked 0 times"),
        (replace(GOOD, attempts=[]), "nothing is kept"),
        (replace(GOOD, records=[record(attempt=2)]), "the record of another attempt"),
        (replace(GOOD, blobs=[], files=[]), "the bytes are not there"),
        (replace(GOOD, files=[]), "the bytes are not there"),
        (replace(GOOD, files=["1", "3"]), "file 3 is nobody's"),
        (replace(GOOD, runs=[run(status={"lease": {"slot": "cpu"}})]), "still has a lease"),
        (replace(GOOD, runs=[run(history=json.dumps([]))]), "by 0 accepted results"),
    ],
)
def test_what_the_database_shows_wrong_is_found(ledger: Ledger, words: str) -> None:
    """Each breach by its words."""
    assert words in found(ledger)


def test_a_second_accepted_result_is_found() -> None:
    """Two results that each ended the run."""
    twice = [{"data": {"delivered": number, "state": "succeeded"}} for number in (1, 2)]
    assert "by 2 accepted results" in found(replace(GOOD, runs=[run(history=json.dumps(twice))]))


def test_a_superseded_attempt_that_ended_its_run_is_found() -> None:
    """Also where the last attempt came to its end, too, and everything of it is there."""
    superseded = run(status={"attempt": 2}, history=json.dumps([{"data": {"delivered": 1, "state": "succeeded"}}]))
    ledger = replace(GOOD, runs=[superseded], records=[record(attempt=2)], attempts=[{"_id": f"{RUN}:2"}])
    second = replace(stay(), occupant=replace(stay().occupant, attempt=2))
    assert found(ledger, stays=[stay(), second]) == f"{RUN} was ended by attempt 1 and not by its last"


def test_a_result_of_an_attempt_that_never_ended_is_found() -> None:
    """Whatever was accepted, that attempt did not say it."""
    assert "never came to its end" in found(GOOD, stays=[stay(ended=False)])


def test_results_that_ended_nothing_are_counted() -> None:
    """They are evidence, and no breach."""
    late = {"_id": f"{RUN}:2", "run_id": RUN, "attempt": 2}
    ledger = replace(GOOD, attempts=[*GOOD.attempts, late])
    assert (late_results(GOOD), late_results(ledger)) == (0, 1)
    assert found(ledger) == ""


def test_a_cancelled_run_with_a_record_is_found() -> None:
    """Nothing may become visible after a cancel."""
    ledger = replace(GOOD, runs=[run("cancelled")])
    assert f"{RUN} is cancelled and has 1 records" in found(ledger, book(state="cancelled"))


def test_an_invalid_run_that_is_ranked_is_found() -> None:
    """It proves nothing, so it beats nobody."""
    ledger = replace(GOOD, runs=[run("invalid")])
    assert "is ranked 1 times and is invalid" in found(ledger, book("invalid", "invalid"))


@pytest.mark.parametrize(("deed", "state"), [("fail", "succeeded"), ("succeed", "failed"), ("poison", "lost")])
def test_an_end_that_nothing_explains_is_found(deed: str, state: str) -> None:
    """A run that was to fail cannot have succeeded, and poison must be known as such."""
    assert f"was to {deed} and ended {state}" in found(replace(GOOD, runs=[run(state)]), book(deed, state))


def test_a_cancel_that_did_not_last_is_found() -> None:
    """It was confirmed."""
    accepted = book(state="running")
    accepted.confirm(Cancel(RUN, "running", 0))
    assert "was cancelled (running) and is succeeded" in found(GOOD, accepted)


@pytest.mark.parametrize(("last_s", "is_found"), [(9.9, False), (10.1, True)])
def test_a_device_that_is_used_long_after_a_cancel_is_found(last_s: float, is_found: bool) -> None:
    """Ten seconds are allowed, and counted from the answer."""
    accepted = book(state="running")
    accepted.confirm(Cancel(RUN, "running", 0))
    ledger = replace(NO_RESULT, runs=[run("cancelled")])
    assert ("after its cancel" in found(ledger, accepted, [stay(ended=False, last_s=last_s)])) is is_found


def test_a_key_that_made_two_jobs_is_found() -> None:
    """The same key and body must always bring the same job."""
    accepted = book()
    accepted.accept("key", "j-2", {}, [])
    assert accepted.broken == ["key key made two jobs: j-1 and j-2"]


def test_an_end_that_changes_is_found_and_news_that_was_overtaken_is_not() -> None:
    """A look that began before the cancel may bring "running" after it; one that began afterwards may not."""
    accepted = book(state="running")
    before = accepted.runs[RUN]
    accepted.confirm(Cancel(RUN, "running", 0))
    accepted.heard(RUN, "running", before=before)
    assert accepted.broken == []
    assert accepted.runs[RUN].state == "cancelled"
    accepted.heard(RUN, "succeeded", before=accepted.runs[RUN])
    assert accepted.broken == [f"{RUN} was cancelled and then succeeded"]
