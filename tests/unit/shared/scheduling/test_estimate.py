"""How long a run will take: exact where the job file says it, learnt where it does not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.jobs.spec import RunSpec, ServiceSpec
from shared.scheduling.estimate import SHORTEST_START_S, STEADY_RUN_S, predict, predicted_s, window_s
from shared.scheduling.setup_times import (
    CALIBRATION_S,
    COLLECTION_S,
    ENOUGH,
    PRIOR_SPREAD,
    REMEMBERED,
    SETUP_S,
    Observed,
    Quantiles,
    Served,
    SetupTimes,
    served_of,
    split_overhead,
)

SECONDS = st.floats(-1e6, 1e6, allow_nan=False)
KIND = Served("onnxruntime", "fc layers=1 width=8", "fc")
SIBLING = Served("onnxruntime", "fc layers=9 width=8", "fc")
COUSIN = Served("onnxruntime", "lstm layers=1 width=8", "lstm")


def run_spec(**sections: object) -> RunSpec:
    """A small run of 2 + 90 seconds."""
    small = {
        "model": {"generate": {"family": "fc", "layers": 1, "width": 8}},
        "workload": {"pattern": "closed", "warmup": "2s", "duration": "90s"},
    }
    return RunSpec.model_validate({**small, **sections})


def seen(*setups_s: float, kind: Served = KIND, follower: str = "f1", collection_s: float = 1.0) -> list[Observed]:
    """Runs of one kind on one follower, in this order."""
    return [Observed(served=kind, follower=follower, setup_s=s, collection_s=collection_s) for s in setups_s]


def test_without_history_the_prediction_is_the_prior_and_the_window() -> None:
    """Warm-up and duration are exact; the platform's set-up, a first calibration and the collection are priors."""
    beside_s = SETUP_S["onnxruntime"] + CALIBRATION_S + COLLECTION_S
    assert window_s(run_spec()) == 92.0
    assert predicted_s(run_spec()) == 92.0 + beside_s
    assert predict(run_spec()).p90_s == 92.0 + PRIOR_SPREAD * beside_s


def test_a_cold_start_takes_a_start_for_each_repeat() -> None:
    """No window and no calibration of the client; starts, inferences and stops, then the collection."""
    spec = run_spec(workload={"pattern": "cold-start", "repeats": 5})
    assert window_s(spec) == 0.0
    assert predicted_s(spec) == 5 * (SETUP_S["onnxruntime"] + STEADY_RUN_S) + COLLECTION_S


def test_a_cold_start_is_foreseen_from_the_set_ups_that_were_seen() -> None:
    """Less the calibration that it does not make; a very fast set-up still takes a moment."""
    spec = run_spec(workload={"pattern": "cold-start", "repeats": 2})
    slow, fast = SetupTimes(seen(7.0, 7.0, 7.0)), SetupTimes(seen(0.5, 0.5, 0.5))
    assert predict(spec, slow, "f1").p50_s == 2 * (7.0 - CALIBRATION_S + STEADY_RUN_S) + 1.0
    assert predict(spec, fast, "f1").p50_s == 2 * (SHORTEST_START_S + STEADY_RUN_S) + 1.0


def test_every_platform_of_the_job_file_has_a_set_up_time() -> None:
    """A job for any of them can be planned, whether or not somebody can run it."""
    schema = ServiceSpec.model_json_schema()
    assert set(SETUP_S) == set(schema["properties"]["platform"]["enum"])


def test_history_replaces_the_prior_once_there_is_enough_of_it() -> None:
    """Two runs change nothing; the third does."""
    few, enough = SetupTimes(seen(7.0, 8.0)), SetupTimes(seen(7.0, 8.0, 9.0))
    assert predict(run_spec(), few) == predict(run_spec())
    assert predict(run_spec(), enough) == Quantiles(8.0 + 92.0 + 1.0, 9.0 + 92.0 + 1.0)
    assert ENOUGH == 3


def test_the_most_specific_kind_that_was_seen_often_enough_is_believed() -> None:
    """Model before family before platform before prior."""
    of_platform = seen(30.0, 30.0, 30.0, kind=COUSIN)
    of_family = seen(20.0, 20.0, 20.0, kind=SIBLING)
    assert SetupTimes(of_platform).setup(KIND).p50_s == 30.0
    assert SetupTimes([*of_platform, *of_family]).setup(KIND).p50_s == 20.0
    assert SetupTimes([*of_platform, *of_family, *seen(5.0, 5.0, 5.0)]).setup(KIND).p50_s == 5.0
    other = Served("triton", KIND.model, KIND.family)
    assert SetupTimes(of_platform).setup(other).p50_s == SETUP_S["triton"] + CALIBRATION_S


def test_a_follower_has_its_own_set_up_times_warm_and_cold() -> None:
    """The first run of a model on a follower is a cold one and says nothing about the warm ones behind it."""
    learnt = SetupTimes([*seen(40.0, 4.0, 4.0, 4.0, follower="slow"), *seen(1.0, 1.0, 1.0, 1.0, follower="fast")])
    assert learnt.setup(KIND, "slow").p50_s == 4.0
    assert learnt.setup(KIND, "fast").p50_s == 1.0
    assert learnt.is_warm(KIND, "slow")
    assert not learnt.is_warm(KIND, "new")
    assert learnt.warm_on("fast") == {KIND}
    assert learnt.setup(KIND, "new") == learnt.setup(KIND)


def test_what_a_warm_follower_saves_is_known_after_enough_of_both() -> None:
    """Three followers took 10 s when cold and 4 s when warm; a saving is never negative, and unknown is nothing."""
    runs = [one for name in ("a", "b", "c") for one in seen(10.0, 4.0, follower=name)]
    assert SetupTimes(runs).saved_s(KIND) == 6.0
    assert SetupTimes(runs[:4]).saved_s(KIND) == 0.0
    slower = [one for name in ("a", "b", "c") for one in seen(4.0, 10.0, follower=name)]
    assert SetupTimes(slower).saved_s(KIND) == 0.0


def test_only_the_latest_runs_count() -> None:
    """A host that got faster is believed to be fast once the old runs have dropped out."""
    learnt = SetupTimes(seen(*[100.0] * REMEMBERED, *[1.0] * REMEMBERED))
    assert learnt.setup(KIND) == Quantiles(1.0, 1.0)


def test_quantiles_are_nearest_ranks() -> None:
    """Of 1 to 20 the median is 10 and the p90 is 18."""
    assert SetupTimes(seen(*map(float, range(20, 0, -1)))).setup(KIND) == Quantiles(10.0, 18.0)


@given(occupied_s=st.floats(0, 1e6), window=st.floats(0, 1e6), said_s=SECONDS)
def test_a_liar_only_divides_what_the_leader_measured(occupied_s: float, window: float, said_s: float) -> None:
    """Whatever a follower says, both parts are at least nothing and together no more than the slot was taken."""
    setup_s, collection_s = split_overhead(occupied_s, window, said_s)
    assert setup_s >= 0.0
    assert collection_s >= 0.0
    assert setup_s + collection_s <= max(0.0, occupied_s - window) + 1e-6


def test_an_honest_split_is_kept() -> None:
    """Four seconds of set-up, ninety of load, six until the result was stored."""
    assert split_overhead(100.0, 90.0, 4.0) == (4.0, 6.0)


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ({"name": "resnet50", "version": 3}, Served("onnxruntime", "resnet50@3", "resnet50")),
        (
            {"generate": {"family": "fc", "layers": 1, "width": 8, "seed": 5}},
            Served("onnxruntime", "fc layers=1 width=8", "fc"),
        ),
    ],
)
def test_the_kind_of_a_run_is_platform_model_and_family(model: object, expected: Served) -> None:
    """Versions of a registered model are a family; the seed of generated weights takes no time."""
    assert served_of(run_spec(model=model)) == expected


def test_a_model_that_is_trained_first_takes_its_own_time_to_set_up() -> None:
    """Steps are taken before every run."""
    model = {"generate": {"family": "fc", "layers": 1, "width": 8, "train_steps": 9}}
    served = served_of(run_spec(model=model, service={"platform": "torchscript"}))
    assert served == Served("torchscript", "fc layers=1 train_steps=9 width=8", "fc")
