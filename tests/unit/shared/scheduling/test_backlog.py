"""A copy of the queue: the same decisions, its own life, and soon made."""

import time
from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from support.queued_runs import busy, key, queued, slot, snapshot

from shared.scheduling.backlog import Backlog, Queued
from shared.scheduling.decide import decide
from shared.scheduling.explain import explain

AT_ONCE_S = 0.005

RUNS = st.builds(
    queued,
    st.uuids().map(str),
    st.floats(1, 1000),
    st.floats(0, 100),
    team=st.sampled_from("abc"),
    priority=st.sampled_from(["urgent", "high", "normal", "low"]),
    device=st.sampled_from(["cpu", "cuda"]),
    p90_s=st.none() | st.floats(1000, 2000),
    affinity=st.sampled_from(["", "m1", "m2"]),
    bound_to=st.none() | st.sampled_from([key("f"), key("g")]),
)


def content(backlog: Backlog) -> list[tuple[Queued, dict[str, object]]]:
    """Each run with its row of the columns; numbers that stand for things replaced by the things."""
    rows = backlog.rows()
    return [
        (
            run,
            {
                "predicted_s": rows.predicted_s[row],
                "team": backlog.teams.things[rows.team[row]],
                "needs": backlog.needs.things[rows.needs[row]],
                "bound": None if rows.bound[row] < 0 else backlog.slots.things[rows.bound[row]],
                "affinity": "" if rows.affinity[row] < 0 else backlog.affinities.things[rows.affinity[row]],
            },
        )
        for row, run in enumerate(backlog)
    ]


@given(st.lists(RUNS, max_size=12), st.data())
def test_a_copy_decides_and_explains_as_the_queue_itself(runs: list[Queued], data: st.DataObject) -> None:
    """Also after runs have left it, so that its rows are in no order of arrival any more."""
    backlog = Backlog.of(runs)
    for run in data.draw(st.lists(st.sampled_from(runs), unique=True)) if runs else []:
        backlog.remove(run.run_id)
    slots = [slot("f", busy=busy("a", 50.0)), slot("g", warm=["m1"]), slot("h", device="cuda")]
    live = replace(snapshot([], slots, now_s=120.0), backlog=backlog)
    copied = replace(live, backlog=backlog.copy())
    assert content(copied.backlog) == content(backlog)
    assert decide(copied) == decide(live)
    for run in backlog:
        assert explain(copied, run.run_id, draws=2) == explain(live, run.run_id, draws=2)


def test_what_happens_to_a_copy_does_not_happen_to_the_queue() -> None:
    """And the reverse: adding, removing and binding, with teams and slots that the other has never heard of."""
    backlog = Backlog.of([queued("a", 1.0), queued("b", 2.0)])
    copied, before = backlog.copy(), content(backlog)
    copied.add(queued("c", 3.0, team="new", affinity="m"))
    copied.remove("a")
    copied.bind("b", key("f"))
    assert content(backlog) == before
    assert backlog.teams.known("new") is None
    kept = content(copied)
    backlog.add(queued("d", 4.0, team="other"))
    backlog.remove("b")
    assert content(copied) == kept
    assert copied.teams.things == ["a", "new"]


def test_ten_thousand_runs_are_copied_at_once() -> None:
    """Far below what the leader's event loop may be kept; as measured, 0.2 ms."""
    backlog = Backlog.of(queued(f"r{n}", 1.0 + n * 37 % 600, team=f"t{n % 20}") for n in range(10_000))
    took_s = []
    for _ in range(5):
        began_s = time.perf_counter()
        copied = backlog.copy()
        took_s.append(time.perf_counter() - began_s)
    assert min(took_s) < AT_ONCE_S
    assert np.array_equal(copied.rows().predicted_s, backlog.rows().predicted_s)
