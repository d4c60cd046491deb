"""Which differences keep a record from standing in for a run: all that could move a number, and nothing else."""

import itertools
from typing import Any

import pytest

from shared.jobs.keys import asked_key, comparability_key, is_reusable, place_key, point_key, reuse_key
from shared.jobs.spec import RunSpec, ServiceSpec
from shared.wire.identity import Capabilities, Gpu, Inventory, PlatformOffer, Registration, Slot

SPEC: dict[str, Any] = {
    "model": {"generate": {"family": "fc"}},
    "workload": {"pattern": "poisson", "rate": 5, "seed": 3},
}
SLOT = Slot(name="gpu-0", device="cuda", server_cores=(0, 1), client_cores=(2, 3), gpus=(1,))
GPUS = tuple(Gpu(index=n, name="T4", memory_bytes=1, driver="550", uuid=f"u{n}") for n in range(2))
HOST = Inventory(
    hostname="lab-1", cpu_model="Xeon", logical_cores=8, physical_cores=4, caches={"L2": 1}, memory_bytes=1,
    kernel="6.1", os="Debian 12", governor="performance", virtualization="kvm", gpus=GPUS,
    versions={"python": "3.11.7", "inferbench": "0.4", "onnxruntime": "1.20"},
)  # fmt: skip


def offer(version: str, platform: str = "onnxruntime", launch: str = "process") -> PlatformOffer:
    """A platform on CPU and GPU."""
    return PlatformOffer(
        platform=platform, version=version, launch=(launch,), protocol=("http", "grpc"), device=("cpu", "cuda")
    )


def follower(*offers: PlatformOffer, version: str = "0.4", **facts: Any) -> Registration:
    """A follower with one GPU slot; ``facts`` are of its inventory."""
    return Registration(
        name="f1", incarnation="i", version=version, inventory=HOST.model_copy(update=facts),
        capabilities=Capabilities(platforms=offers or (offer("1.20"),), patterns=(), networks=(), pipeline_sides=(),
                                  ops=(), model_families=(), datasets=()),
        slots=(SLOT,),
    )  # fmt: skip


def asked(*digests: str | None, **sections: Any) -> str:
    """What a run asks for; ``digests`` are of the model, the dataset and the trace that it names."""
    spec = RunSpec.model_validate({**SPEC, **sections})
    model, dataset, trace = (*digests, None, None, None)[:3]
    return asked_key(comparability_key(spec, model, dataset, trace), spec)


def service(**settings: Any) -> ServiceSpec:
    """On the GPU."""
    return ServiceSpec.model_validate({"device": "cuda", **settings})


@pytest.mark.parametrize(
    "other",
    [
        {"model": {"generate": {"family": "fc", "width": 64}}},
        {"workload": {"pattern": "poisson", "rate": 6, "seed": 3}},
        {"workload": {"pattern": "constant", "rate": 5, "seed": 3}},
        {"requests": {"batch_size": 2}},
        {"network": "lan"},
        {"pipeline": {"side": "server"}},
        {"service": {"launch": "docker"}},
        {"service": {"protocol": "grpc"}},
        {"service": {"device": "cuda"}},
        {"service": {"threads": 2}},
        {"service": {"batching": {"max_batch_size": 4}}},
        {"service": {"ready_timeout": "5s"}},
        {"collect": {"kernel_timestamps": True}},
        {"collect": {"request_stages": False}},
        {"slo": {"p99_ms": 5}},
    ],
    ids=str,
)
def test_another_thing_asked_for_is_another_run(other: dict[str, Any]) -> None:
    """The whole service section, what is collected, and the limits that the record is judged by, too."""
    assert asked(**other) != asked()


def test_the_bytes_of_model_dataset_and_trace_decide_and_not_their_names() -> None:
    """Other bytes under the same name are another run; the same bytes under another name are the same."""
    named: dict[str, Any] = {"model": {"name": "m", "version": 1}, "requests": {"dataset": "d"}}
    keys = [asked("a", "b", **named), asked("x", "b", **named), asked("a", "x", **named)]
    assert len(set(keys)) == 3
    renamed: dict[str, Any] = {"model": {"name": "n", "version": 7}, "requests": {"dataset": "e"}}
    assert asked("a", "b", **renamed) == keys[0]
    replayed: dict[str, Any] = {"workload": {"pattern": "trace", "trace": "monday"}}
    assert asked(None, None, "a", **replayed) != asked(None, None, "b", **replayed)


def test_which_followers_may_take_it_is_no_part_of_what_is_asked_for() -> None:
    """What they are is in the other half."""
    assert asked(requires={"labels": {"zone": "a"}}) == asked(requires={"device": "cpu"}) == asked()


def test_the_seed_makes_runs_unequal_and_leaves_their_point() -> None:
    """Repeats are of one point; only the same seed is the very same run."""
    reseeded: dict[str, Any] = {"workload": {"pattern": "poisson", "rate": 5, "seed": 4}}
    assert asked(**reseeded) == asked()
    assert reuse_key("point", 3) != reuse_key("point", 4)
    assert reuse_key("point", 3) != reuse_key("other", 3)


PLACES = {
    "as it is": place_key(follower(), SLOT, service()),
    "cpu": place_key(follower(cpu_model="EPYC"), SLOT, service()),
    "caches": place_key(follower(caches={"L2": 2}), SLOT, service()),
    "governor": place_key(follower(governor="powersave"), SLOT, service()),
    "kernel": place_key(follower(kernel="6.2"), SLOT, service()),
    "os": place_key(follower(os="Debian 13"), SLOT, service()),
    "virtualization": place_key(follower(virtualization=None), SLOT, service()),
    "driver": place_key(follower(gpus=(GPUS[0], GPUS[1].model_copy(update={"driver": "560"}))), SLOT, service()),
    "gpu": place_key(follower(gpus=(GPUS[0], GPUS[1].model_copy(update={"name": "H100"}))), SLOT, service()),
    "cores": place_key(follower(), SLOT.model_copy(update={"server_cores": (0,)}), service()),
    "two gpus": place_key(follower(), SLOT.model_copy(update={"gpus": (0, 1)}), service()),
    "cpu slot": place_key(follower(), SLOT.model_copy(update={"device": "cpu"}), service()),
    "platform": place_key(follower(offer("1.21")), SLOT, service()),
    "harness": place_key(follower(version="0.5"), SLOT, service()),
    "library": place_key(follower(versions={**HOST.versions, "numpy": "2"}), SLOT, service()),
}


@pytest.mark.parametrize("change", PLACES)
def test_another_place_is_another_measurement(change: str) -> None:
    """Hardware, driver, kernel, system, platform's version, harness, libraries: none is like another."""
    assert PLACES[change] not in [key for name, key in PLACES.items() if name != change]


def test_a_twin_is_the_same_place() -> None:
    """Another host's name, a GPU that the slot does not use, another slot's name, a platform that is not asked for."""
    other_gpu = (GPUS[0].model_copy(update={"driver": "1", "name": "K80"}), GPUS[1].model_copy(update={"uuid": "v"}))
    twin = follower(offer("1.20"), offer("9", "triton"), offer("8", launch="docker"), hostname="lab-2", gpus=other_gpu)
    named = twin.model_copy(update={"name": "f2", "incarnation": "j"})
    assert place_key(named, SLOT.model_copy(update={"name": "gpu-1"}), service()) == PLACES["as it is"]


def test_a_platform_started_otherwise_may_have_another_version() -> None:
    """The offer that serves the run counts."""
    offers = (offer("1.20"), offer("1.30", launch="docker"))
    assert place_key(follower(*offers), SLOT, service()) == PLACES["as it is"]
    assert place_key(follower(*offers), SLOT, service(launch="docker")) != PLACES["as it is"]


def test_both_halves_make_the_point() -> None:
    """A number of another place, or of another task, is another number."""
    keys = {point_key(what, where) for what, where in itertools.product("ab", "cd")}
    assert len(keys) == 4


def test_nothing_is_reused_from_behind_an_address() -> None:
    """Nobody knows whether the same software still answers there."""
    endpoint = {"platform": "endpoint", "url": "http://10.0.0.1:8000"}
    assert not is_reusable(RunSpec.model_validate({**SPEC, "service": endpoint}))
    assert is_reusable(RunSpec.model_validate(SPEC))
