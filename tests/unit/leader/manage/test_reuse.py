"""Which runs records stand in for: decided from what was found, by hand-made records."""

from dataclasses import replace
from typing import Any

import pytest
from support.desks import registration, spec
from support.reusable import measured, newest_first, wanted
from support.stored_records import entry
from support.stored_runs import T0

from leader.manage.blueprint import reused, runs_from
from leader.manage.reuse import Finds, wanted_of
from leader.manage.views import run_view
from leader.perfdb.entities import Follower, Job, Origin
from shared.jobs.lifecycle import RunState
from shared.jobs.spec import JobSpec, ReuseMode
from shared.jobs.sweep import expand


def decided(finds: Finds, mode: ReuseMode) -> dict[int, str]:
    """Index -> the run whose record it gets."""
    return {index: origin.run_id for index, origin in finds.reused(mode).items()}


def test_never_is_never() -> None:
    """Whatever there is."""
    assert decided(Finds([wanted(0, 1)], [measured(1, 1)]), "never") == {}


def test_an_equal_run_gets_the_newest_equal_record() -> None:
    """Its seed and its point; records of other seeds and points are others."""
    records = newest_first(measured(1, 1), measured(2, 1), measured(3, 2), measured(4, 1, "q"))
    finds = Finds([wanted(0, 1), wanted(1, 7)], records)
    assert decided(finds, "if-equal") == {0: "r2"}
    assert finds.reused("if-equal")[0] == records[2].origin
    assert [record.run_id for record in finds.equal_to_run(0)] == ["r2", "r1"]
    assert finds.equal_to_run(1) == finds.equal_to_run(99) == []


def test_any_place_that_could_take_the_run_will_do() -> None:
    """Two kinds of followers are alive: the newest of either."""
    records = newest_first(measured(1, 1, "slow"), measured(2, 1, "fast"), measured(3, 1, "gone"))
    assert decided(Finds([wanted(0, 1, "slow", "fast")], records), "if-equal") == {0: "r2"}


def test_without_a_place_nothing_is_reused() -> None:
    """No live follower could measure it again, so nobody could check the number."""
    nowhere = replace(wanted(0, 1), points=frozenset())
    for mode in ("if-equal", "extend"):
        assert Finds([nowhere], [measured(1, 1)]).reused(mode) == {}


def test_a_record_without_a_key_stands_in_for_nothing() -> None:
    """It is of an older version."""
    assert Finds([wanted(0, 1)], [entry("r")]).reused("extend") == {}


def test_extend_measures_only_the_repeats_that_are_missing() -> None:
    """Five are wanted, three exist: those of the same seeds as themselves, the third as any; two are left."""
    runs = [wanted(index, 10 + index) for index in range(5)]
    records = newest_first(measured(1, 11), measured(2, 13), measured(3, 99))
    assert decided(Finds(runs, records), "extend") == {0: "r3", 1: "r1", 3: "r2"}
    assert decided(Finds(runs, records), "if-equal") == {1: "r1", 3: "r2"}


def test_extend_uses_no_record_twice() -> None:
    """Also where two points of the job differ in nothing that counts; the first gets it."""
    runs = [wanted(0, 1), wanted(1, 1), wanted(2, 2, "q")]
    assert decided(Finds(runs, [measured(1, 1)]), "extend") == {0: "r1"}
    assert decided(Finds(runs, newest_first(measured(1, 1), measured(2, 1))), "extend") == {0: "r2", 1: "r1"}


def test_extend_prefers_what_is_newest() -> None:
    """More exist than are wanted."""
    records = newest_first(*(measured(number, 50 + number) for number in range(4)))
    assert decided(Finds([wanted(0, 1), wanted(1, 2)], records), "extend") == {0: "r3", 1: "r2"}


def prepared(given: JobSpec) -> tuple[Job, list[Any], list[Any]]:
    """A job, its expanded runs, and these as they would be stored."""
    expanded = expand(given)
    job = Job(
        id="j-01jd3v6x8k5m2n7p9q4r1s0t3w", owner="o", team="t", name="n", priority="normal", idempotency_key="k",
        body_sha256="0", spec=given.given(), run_count=len(expanded), created_at=T0,
    )  # fmt: skip
    return job, expanded, runs_from(job, given, expanded)


def points(given: JobSpec, *followers: Follower) -> list[frozenset[str]]:
    """The point keys of each run that may be reused."""
    _, expanded, runs = prepared(given)
    return [one.points for one in wanted_of(expanded, runs, followers)]


def alive(name: str = "f1", **changes: Any) -> Follower:
    """A follower; ``cordoned`` and what it announces may be given."""
    cordoned = changes.pop("cordoned", False)
    return Follower(registration=registration(name, **changes), last_seen_at=T0, cordoned=cordoned)


def test_repeats_share_their_point_and_points_do_not() -> None:
    """Two rates, twice: two points with two seeds each; slots that are alike are one place."""
    given = spec(sweep={"workload.rate": [10.0, 20.0]}, repeats=2)
    found = points(given, alive(slots=2), alive("f2"))
    assert [len(each) for each in found] == [1, 1, 1, 1]
    assert found[0] == found[2] != found[1] == found[3]
    _, expanded, runs = prepared(given)
    assert [one.seed for one in wanted_of(expanded, runs, [])] == [run.spec.workload.seed for run in expanded]


def test_only_places_that_could_take_the_run_count() -> None:
    """Neither a cordoned follower nor one that lacks the model family or the label; each other kind is a point."""
    other_kernel = alive("f2")
    inventory = other_kernel.registration.inventory.model_copy(update={"kernel": "7"})
    newer = replace(other_kernel, registration=other_kernel.registration.model_copy(update={"inventory": inventory}))
    assert len(points(spec(), alive(), newer)[0]) == 2
    assert points(spec(), alive(), replace(newer, cordoned=True)) == points(spec(), alive())
    assert points(spec(), alive(model_families=())) == [frozenset()]
    labelled = spec(requires={"labels": {"zone": "a"}})
    assert points(labelled, alive()) == [frozenset()]
    assert points(labelled, alive(labels={"zone": "a"})) == points(spec(), alive())


def test_searches_and_addresses_are_never_reused() -> None:
    """What a search does next follows from what it finds; and nobody knows what stands behind an address."""
    search = {"pattern": "search", "start_rate": 5, "duration": "1s", "slo": {"p99_ms": 9}}
    assert points(spec(workload=search), alive()) == []
    assert points(spec(service={"platform": "endpoint", "url": "http://h:1"}), alive()) == []


def test_a_reused_run_has_ended_before_it_began() -> None:
    """Nobody held it; its one event and its view name the origin; it lacks no record."""
    _, _, (run,) = prepared(spec())
    origin = Origin(run_id="j-other.0003", follower="lab-1", measured_at=T0)
    ended = reused(run, origin)
    assert (ended.status.state, ended.status.fence, ended.status.attempt) == (RunState.SUCCEEDED, 0, 0)
    assert (ended.recorded, ended.follower, ended.reused_from) == (True, None, origin)
    (event,) = ended.history
    assert event.kind == "reused"
    assert event.message == "reused from run j-other.0003, measured 2026-03-01 12:00 UTC on lab-1; nothing was run"
    assert event.data["origin"] == "j-other.0003"
    view = run_view(ended)
    assert view.reused_from is not None
    assert (view.reused_from.run_id, view.reused_from.measured_at) == ("j-other.0003", T0)
    assert view.links["origin"] == "/api/v1/runs/j-other.0003"
    assert not {"samples", "log", "cancel"} & view.links.keys()


@pytest.mark.parametrize("mode", ["if-equal", "extend"])
def test_a_thousand_runs_are_decided_on_in_a_moment(mode: ReuseMode) -> None:
    """Ten points, a hundred repeats each, all of which exist; each run gets its own seed's record."""
    runs = [wanted(index, index // 10, f"p{index % 10}") for index in range(1000)]
    records = newest_first(*(measured(number, number // 10, f"p{number % 10}") for number in range(1000)))
    assert decided(Finds(runs, records), mode) == {index: f"r{index}" for index in range(1000)}
