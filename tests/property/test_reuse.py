"""What is stored of a job says what its runs are, and no run is ever ended by a record that is not equal."""

from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from support.reusable import measured, newest_first
from support.stored_runs import T0

from leader.manage.blueprint import runs_from, runs_of, searches_of
from leader.manage.reuse import Finds, Wanted
from leader.perfdb import documents
from leader.perfdb.entities import Job, LeaderboardEntry, Origin
from shared.jobs.lifecycle import RunState
from shared.jobs.spec import JobSpec, ReuseMode
from shared.jobs.sweep import expand

OPEN = {"pattern": "poisson", "rate": 5, "duration": "1s"}
SEARCH = {"pattern": "search", "start_rate": 5, "duration": "1s", "slo": {"p99_ms": 9}}
SWEEPS: tuple[dict[str, list[Any]], ...] = (
    {},
    {"service.threads": [1, 2]},
    {"model.generate.width": [8, 16], "requests.batch_size": [1, 2]},
    {"model.generate.family": ["fc", "lstm"]},
    {"workload.seed": [3, 9]},
)

jobs = st.builds(
    lambda workload, sweep, repeats, deadline: JobSpec.model_validate(
        {
            "name": "a", "model": {"generate": {"family": "fc"}}, "workload": workload, "sweep": sweep,
            "repeats": repeats, "deadline": deadline, "priority": "high",
        }
    ),
    st.sampled_from([OPEN, SEARCH]), st.sampled_from(SWEEPS), st.integers(1, 4), st.sampled_from([None, "1h"]),
)  # fmt: skip


@given(jobs, st.data())
def test_what_is_stored_of_a_job_gives_the_runs_that_were_stored_with_it(given: JobSpec, data: st.DataObject) -> None:
    """Whoever completes it after a crash comes to the same runs, with the same records in the same places."""
    expanded = expand(given)
    plain = [run.index for run in expanded if run.search is None]
    origins = st.builds(Origin, run_id=st.just("r"), follower=st.text(max_size=5), measured_at=st.just(T0))
    reused = data.draw(st.dictionaries(st.sampled_from(plain), origins, max_size=4) if plain else st.just({}))
    job = Job(
        id="j-01jd3v6x8k5m2n7p9q4r1s0t3w", owner="o", team="t", name="n", priority="high", idempotency_key="k",
        body_sha256="0", spec=given.given(), run_count=len(expanded), searches=searches_of(expanded, T0),
        searching=not plain, reused=reused, created_at=T0,
    )  # fmt: skip
    runs = runs_from(job, given, expanded)
    assert runs_of(documents.job_from_document(documents.job_to_document(job))) == runs
    assert {run.index: run.reused_from for run in runs if run.reused_from} == reused
    assert all((run.status.state is RunState.SUCCEEDED) == (run.index in reused) for run in runs)


seeds, point_names = st.integers(0, 4), st.sampled_from("pqr")
records_found = st.lists(st.tuples(seeds, point_names), max_size=12).map(
    lambda drawn: newest_first(*(measured(number, seed, point) for number, (seed, point) in enumerate(drawn)))
)
runs_wanted = st.lists(st.tuples(seeds, st.frozensets(point_names, max_size=2)), max_size=10).map(
    lambda drawn: [Wanted(index, seed, points) for index, (seed, points) in enumerate(drawn)]
)
modes = st.sampled_from(["never", "if-equal", "extend"])


def key(record: LeaderboardEntry) -> tuple[str, int]:
    """What was measured."""
    assert record.reuse_key is not None
    return record.reuse_key.point, record.reuse_key.seed


@given(runs_wanted, records_found, modes)
def test_reuse_never_invents(wanted: list[Wanted], records: list[LeaderboardEntry], mode: ReuseMode) -> None:
    """Each run that is not run has an origin that was found, of its point, and (if-equal) of its seed."""
    by_id = {record.run_id: record for record in records}
    reused = Finds(wanted, records).reused(mode)
    assert mode != "never" or not reused
    for index, origin in reused.items():
        record = by_id[origin.run_id]
        assert origin == record.origin
        assert key(record)[0] in wanted[index].points
        assert mode == "extend" or key(record)[1] == wanted[index].seed


@given(runs_wanted, records_found)
def test_if_equal_leaves_out_no_equal_record(wanted: list[Wanted], records: list[LeaderboardEntry]) -> None:
    """A run is run exactly where no record is equal."""
    reused = Finds(wanted, records).reused("if-equal")
    for one in wanted:
        equal = [record for record in records if key(record) in {(point, one.seed) for point in one.points}]
        assert reused.get(one.index) == (max(equal, key=lambda record: record.created_at).origin if equal else None)


@given(runs_wanted, records_found)
def test_extend_uses_each_record_once_and_leaves_none_that_fits(
    wanted: list[Wanted], records: list[LeaderboardEntry]
) -> None:
    """A repeat is measured only where no record of its point is left over."""
    reused = Finds(wanted, records).reused("extend")
    used = [origin.run_id for origin in reused.values()]
    assert len(used) == len(set(used))
    left = {key(record)[0] for record in records if record.run_id not in used}
    assert all(one.index in reused or not one.points & left for one in wanted)


@given(runs_wanted, records_found, modes)
def test_records_without_keys_change_nothing(
    wanted: list[Wanted], records: list[LeaderboardEntry], mode: ReuseMode
) -> None:
    """Those of older versions are passed over, wherever they stand."""
    nameless = [replace(record, run_id=f"old-{record.run_id}", reuse_key=None) for record in records]
    mixed = [record for pair in zip(nameless, records, strict=True) for record in pair]
    assert Finds(wanted, mixed).reused(mode) == Finds(wanted, records).reused(mode)
