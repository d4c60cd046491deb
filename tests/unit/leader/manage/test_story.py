"""The leader's own events: distinct, ordered, and enough to answer late callers."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leader.manage.rights import holds, require_current, require_granted
from leader.manage.story import answer_given, event_of, hardware_of, merged, queued_event
from leader.perfdb.entities import TERMINAL_EVENT_N, Event, Run
from shared.errors import StaleFence
from shared.jobs import lifecycle
from shared.jobs.lifecycle import Cause, Lease, RunStatus
from shared.wire.assignment import ResultAnswer

T0 = datetime(2026, 3, 1, tzinfo=UTC)
LEASE = Lease(follower="f1", incarnation="i-1", slot="cpu-0", expires_at=T0 + timedelta(seconds=15))
TOLD = {"follower": "f1", "incarnation": "i-1", "slot": "cpu-0", "hardware": "CPU (1 of 2)"}


def run(status: RunStatus | None = None, *history: Event) -> Run:
    """A run with this past."""
    return Run(
        id="r", job_id="j", name="n", team="t", owner="o", index=0, repeat=0, point={}, spec={}, predicted_s=1,
        comparability_key="k", status=status or RunStatus(), history=history, created_at=T0, updated_at=T0,
    )  # fmt: skip


def moved(before: Run, status: RunStatus, **data: Any) -> Run:
    """As the store would leave it."""
    event = event_of(before, status, T0, **data)
    return run(status, *before.history, *([event] if event else []))


def claimed(before: Run) -> Run:
    """By f1."""
    return moved(before, lifecycle.claim(before.status, LEASE, T0), **TOLD)


def test_one_fence_tells_its_claim_and_its_end_apart() -> None:
    """Between them there is room for a million progress events."""
    held = claimed(run(None, queued_event("r", T0)))
    done = moved(held, lifecycle.succeed(held.status), delivered=1)
    assert [(event.id, event.kind) for event in done.history] == [
        ("0.0", "queued"), ("1.0", "claimed"), (f"1.{TERMINAL_EVENT_N}", "succeeded"),
    ]  # fmt: skip


def test_a_renewal_and_a_start_are_no_news() -> None:
    """They come every few seconds."""
    held = claimed(run())
    for status in (lifecycle.start(held.status), lifecycle.renew(held.status, T0 + timedelta(seconds=60))):
        assert event_of(held, status, T0) is None


MOVES = st.lists(st.sampled_from(["claim", "start", "requeue", "fail", "cancel", "succeed"]), max_size=30)


@given(MOVES)
def test_whatever_happens_ids_grow_and_the_end_is_last(moves: list[str]) -> None:
    """For every legal sequence of moves."""
    story = run(None, queued_event("r", T0))
    for name in moves:
        try:
            story = _apply(story, name)
        except lifecycle.IllegalMove:
            continue
    positions = [event.position for event in story.history]
    assert positions == sorted(set(positions))
    assert story.status.state.is_terminal == (story.history[-1].n == TERMINAL_EVENT_N)


def _apply(story: Run, name: str) -> Run:
    status = story.status
    if name == "claim":
        return claimed(story)
    if name in {"requeue", "fail"}:
        cause = Cause.LEASE_EXPIRED if name == "requeue" else Cause.SERVER_DIED
        return moved(story, lifecycle.fail(status, cause, "x", T0))
    return moved(story, getattr(lifecycle, name)(status))


def test_an_answer_is_found_again_by_its_attempt() -> None:
    """Also when the run has gone on since; an attempt that ended otherwise has none."""
    first = claimed(run())
    failed = moved(first, lifecycle.fail(first.status, Cause.FOLLOWER_ERROR, "x", T0), delivered=1)
    second = claimed(failed)
    assert answer_given(second, 1) == ResultAnswer(accepted=True, state="queued")
    assert answer_given(second, 2) is None
    cancelled = moved(second, lifecycle.cancel(second.status))
    assert answer_given(cancelled, 2) is None


def test_only_who_was_given_an_attempt_may_speak_of_it() -> None:
    """Follower, incarnation, attempt and fence must all be those of a claim in the history."""
    held = claimed(run())
    require_granted(held, "f1", "i-1", 1, 1)
    require_current(held, "f1", "i-1", 1, 1)
    require_current(held, "f1", None, 1, 1)
    for wrong in (("f2", "i-1", 1, 1), ("f1", "i-0", 1, 1), ("f1", "i-1", 2, 1), ("f1", "i-1", 1, 2)):
        with pytest.raises(StaleFence):
            require_granted(held, *wrong)
        with pytest.raises(StaleFence, match="stop this attempt"):
            require_current(held, *wrong)
    later = moved(held, lifecycle.requeue(held.status, Cause.LEASE_EXPIRED, "x", T0))
    require_granted(later, "f1", "i-1", 1, 1)
    assert not holds(later, "f1", "i-1", 1, 1)


def test_the_hardware_is_that_of_the_last_claim() -> None:
    """And unknown before the first."""
    assert hardware_of(run()) == "unknown"
    assert hardware_of(claimed(run())) == "CPU (1 of 2)"


def progress(fence: int, n: int) -> Event:
    """A follower's event."""
    return Event(run_id="r", fence=fence, n=n, at=T0, kind="k", message="m")


def test_nothing_is_told_beyond_what_the_run_knows() -> None:
    """Progress of a later fence, read after the run, waits: the requeue before it is not known yet."""
    held = claimed(run(None, queued_event("r", T0)))
    told = merged(held, [progress(1, 1), progress(3, 1)], (0, 0), truncated=False)
    assert [event.id for event in told] == ["1.0", "1.1"]


def test_a_cut_off_reading_does_not_tell_the_end_early() -> None:
    """The progress that was not read yet stands before it."""
    held = claimed(run())
    done = moved(held, lifecycle.succeed(held.status))
    told = merged(done, [progress(1, 1), progress(1, 2)], (1, 0), truncated=True)
    assert [event.id for event in told] == ["1.1", "1.2"]
    assert [event.id for event in merged(done, [], (1, 2), truncated=False)] == [f"1.{TERMINAL_EVENT_N}"]
