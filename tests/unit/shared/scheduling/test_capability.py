"""What keeps a follower from running a run, and how a job that nobody can run is told so."""

from typing import Any

import pytest
from support.followers import CPU_FOLLOWER, CPU_OFFER, CPU_SLOT, GPU_SLOT, run_spec
from support.workloads import EVERY_PATTERN

from follower.inventory.capabilities import read_capabilities
from shared.errors import Problem
from shared.scheduling.capability import Gap, gaps, unmet
from shared.scheduling.needs import needs_of
from shared.scheduling.refusal import NO_FOLLOWER, refusal, refusals
from shared.wire.identity import Capabilities, PlatformOffer

CUDA_OFFER = CPU_OFFER.model_copy(update={"device": ("cpu", "cuda")})


def announcing(**changes: Any) -> Capabilities:
    """The usual follower with other announcements."""
    return CPU_FOLLOWER.model_copy(update=changes)


def test_a_follower_that_announces_everything_has_no_gap() -> None:
    """Nothing is asked of it that it does not have."""
    assert gaps(run_spec(), CPU_FOLLOWER, slot=CPU_SLOT) == []


@pytest.mark.parametrize(
    ("changes", "path", "needed"),
    [
        ({"service": {"platform": "triton"}}, "service.platform", "triton"),
        ({"service": {"launch": "docker"}}, "service.launch", "docker"),
        ({"service": {"protocol": "grpc"}}, "service.protocol", "grpc"),
        ({"service": {"device": "cuda"}}, "service.device", "cuda"),
        ({"network": "lte"}, "network", "lte"),
        ({"network": {"delay_ms": 5}}, "network", "custom-coarse"),
        ({"network": {"delay_ms": 4}}, "network", "custom"),
        ({"network": {"delay_ms": 5, "loss_pct": 0.1}}, "network", "custom"),
        ({"network": {"rate_mbit": 10_000}}, "network", "custom-fast"),
        ({"model": {"generate": {"family": "lstm"}}}, "model.generate.family", "lstm"),
        ({"requests": {"dataset": "photos"}}, "requests.dataset", "photos"),
        ({"requires": {"labels": {"zone": "a"}}}, "requires.labels.zone", "a"),
        (
            {
                "requests": {"dataset": "text-lines"},
                "pipeline": {"side": "server", "preprocess": [{"op": "decode_image"}]},
            },
            "pipeline.side",
            "server",
        ),
        (
            {"requests": {"dataset": "text-lines"}, "pipeline": {"postprocess": [{"op": "softmax"}, {"op": "top_k"}]}},
            "pipeline.postprocess[1].op",
            "top_k",
        ),
    ],
)
def test_what_is_not_announced_is_a_gap_at_its_path(changes: dict[str, Any], path: str, needed: str) -> None:
    """One thing is missing, and it is named by its place in the job file."""
    (gap,) = gaps(run_spec(**changes), CPU_FOLLOWER)
    assert (gap.path, gap.needed) == (path, needed)


def test_the_side_of_the_pipeline_is_a_property_of_the_offer() -> None:
    """A platform that only runs models is not lent the processors of another one on the same follower."""
    able = CPU_OFFER.model_copy(update={"platform": "openvino", "pipeline_sides": ("client", "server")})
    have = announcing(platforms=(CPU_OFFER, able), pipeline_sides=("client", "server"))
    spec = {
        "requests": {"dataset": "text-lines"},
        "pipeline": {"side": "server", "preprocess": [{"op": "decode_image"}]},
    }
    assert gaps(run_spec(**spec), have) == [Gap("pipeline.side", "server", ("client",))]
    assert gaps(run_spec(**spec, service={"platform": "openvino"}), have) == []


def test_a_pattern_that_is_not_announced_is_a_gap() -> None:
    """An older follower may not know a newer pattern."""
    (gap,) = gaps(run_spec(), announcing(patterns=("poisson",)))
    assert gap == Gap("workload.pattern", "closed", ("poisson",))


@pytest.mark.parametrize("pattern", EVERY_PATTERN)
def test_a_follower_announces_and_can_run_every_pattern_that_can_be_planned(pattern: str) -> None:
    """What this version plans it announces; a follower of an older one is not asked for it."""
    spec = run_spec(workload={"pattern": pattern, **EVERY_PATTERN[pattern]})
    assert gaps(spec, read_capabilities((CPU_OFFER,), {})) == []
    known = pattern in CPU_FOLLOWER.patterns
    assert [gap.path for gap in gaps(spec, CPU_FOLLOWER)] == ([] if known else ["workload.pattern"])


def test_an_uploaded_dataset_is_no_need() -> None:
    """Every follower can fetch it from the leader."""
    assert gaps(run_spec(requests={"dataset": "photos"}), CPU_FOLLOWER, uploaded_datasets={"photos"}) == []


def test_a_label_with_another_value_is_shown() -> None:
    """The reader sees what the follower is labelled with instead."""
    spec = run_spec(requires={"labels": {"zone": "a"}})
    assert gaps(spec, announcing(labels={"zone": "b"}))[0].announced == ("b",)
    assert gaps(spec, announcing(labels={"zone": "a", "rack": "1"})) == []


@pytest.mark.parametrize(
    ("device", "slot", "fits"), [("cpu", CPU_SLOT, True), ("cpu", GPU_SLOT, False), ("cuda", GPU_SLOT, True)]
)
def test_a_slot_must_have_the_device(device: str, slot: Any, fits: bool) -> None:
    """A run for the CPU does not take a GPU's slot, nor the other way round."""
    both = announcing(platforms=(CUDA_OFFER,))
    assert (gaps(run_spec(service={"device": device}), both, slot=slot) == []) is fits


def test_two_offers_do_not_lend_each_other_their_halves() -> None:
    """Processes on the CPU and containers on the GPU do not make a process on the GPU."""
    docker = CPU_OFFER.model_copy(update={"launch": ("docker",), "device": ("cuda",)})
    (gap,) = gaps(run_spec(service={"device": "cuda"}), announcing(platforms=(CPU_OFFER, docker)))
    assert gap.path in {"service.launch", "service.device"}


def test_needs_survive_storage_as_pairs() -> None:
    """What is kept beside a queued run gives the same answer as the run itself."""
    spec = run_spec(network="lte", service={"protocol": "grpc"})
    assert unmet(needs_of(spec), CPU_FOLLOWER) == gaps(spec, CPU_FOLLOWER)


def test_one_able_follower_is_enough() -> None:
    """Others may lack whatever they like."""
    spec = run_spec(service={"device": "cuda"})
    assert refusal(spec, {"a": CPU_FOLLOWER, "b": announcing(platforms=(CUDA_OFFER,))}) == []


def test_nobody_registered_is_said_as_such() -> None:
    """The job is not wrong; there is just nobody to run it."""
    assert refusal(run_spec(), {}) == [NO_FOLLOWER]


def test_a_refusal_says_what_all_followers_together_announce() -> None:
    """With the nearest of it, for it may be a slip."""
    followers = {"a": CPU_FOLLOWER, "b": announcing(datasets=("images-small", "synthetic"))}
    (problem,) = refusal(run_spec(requests={"dataset": "image-small"}), followers)
    assert problem == Problem(
        message="'image-small' is not available on any follower",
        path="requests.dataset",
        found="image-small",
        allowed="images-small, synthetic, text-lines",
        suggestion="images-small",
    )


def test_everything_that_nobody_has_is_told_at_once() -> None:
    """A job for hardware and software that are still to come is answered in one go."""
    spec = run_spec(service={"launch": "docker", "protocol": "grpc", "device": "cuda"}, network="wifi")
    told = refusal(spec, {"a": CPU_FOLLOWER})
    assert [problem.path for problem in told] == ["service.launch", "service.protocol", "service.device", "network"]
    assert all("not available on any follower" in problem.message for problem in told)


def test_uploaded_datasets_are_available_everywhere() -> None:
    """The leader has them."""
    assert refusal(run_spec(requests={"dataset": "photos"}), {"a": CPU_FOLLOWER}, {"photos"}) == []


def test_what_only_different_followers_have_is_told_for_the_nearest_one() -> None:
    """Each part is somewhere, no follower has them all: the one that lacks least says what it lacks."""
    followers = {"a": announcing(networks=("none", "lte")), "b": announcing(platforms=(CUDA_OFFER,), model_families=())}
    (problem,) = refusal(run_spec(network="lte", service={"device": "cuda"}), followers)
    assert problem.path == "service.device"
    assert "together with the rest" in problem.message
    assert "a, the nearest follower" in problem.message


def test_a_sweep_is_refused_once_for_what_its_runs_share() -> None:
    """Hundreds of runs with one need give one problem."""
    specs = [run_spec(service={"platform": "triton", "threads": threads}) for threads in (1, 2, 4)]
    assert [problem.path for problem in refusals(specs, {"a": CPU_FOLLOWER})] == ["service.platform"]
    assert refusals([], {}) == []


def test_an_endpoint_is_a_gap_where_the_followers_list_does_not_name_it() -> None:
    """Known at submit: the need is the address, and what is announced is the operator's list."""
    offer = PlatformOffer(platform="endpoint", version="1", launch=("process",), protocol=("http",), device=("cpu",))
    follower = CPU_FOLLOWER.model_copy(
        update={"platforms": (*CPU_FOLLOWER.platforms, offer), "endpoints": ("10.1.0.0/16", "triton.lab:8000")}
    )

    def missing(url: str) -> list[Gap]:
        return gaps(run_spec(service={"platform": "endpoint", "url": url}), follower)

    assert missing("http://triton.lab:8000") == []
    assert missing("http://10.1.2.3:9000") == []
    assert missing("http://triton.lab:8001") == [
        Gap("service.url", "http://triton.lab:8001", ("10.1.0.0/16", "triton.lab:8000"))
    ]
