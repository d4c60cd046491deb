"""Which differences between two runs make them incomparable, and which are the comparison."""

import itertools
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import BaseModel

from shared.jobs.keys import (
    COMPARED_SECTIONS,
    TASK_SECTIONS,
    asked_key,
    comparability_key,
    configuration_key,
    hardware_of,
    task_of,
)
from shared.jobs.spec import RunSpec, ServiceSpec
from shared.wire.identity import Gpu, Inventory, Slot

DIGEST = "a" * 64

BASES: dict[str, dict[str, Any]] = {
    "fc": {"model": {"generate": {"family": "fc"}}, "workload": {"pattern": "closed"}},
    "cnn": {"model": {"generate": {"family": "cnn"}}, "workload": {"pattern": "constant", "rate": 5}},
    "lstm": {"model": {"generate": {"family": "lstm"}}, "workload": {"pattern": "poisson", "rate": 5}},
    "attention": {
        "model": {"generate": {"family": "attention", "heads": 2}},
        "workload": {"pattern": "closed"},
        "network": {"delay_ms": 2},
    },
    "trace": {"model": {"generate": {"family": "fc"}}, "workload": {"pattern": "trace", "trace": "monday"}},
    "cold-start": {"model": {"generate": {"family": "fc"}}, "workload": {"pattern": "cold-start"}},
    "named": {
        "model": {"name": "m", "version": 1},
        "requests": {"dataset": "images"},
        "pipeline": {"preprocess": [{"op": "decode_image"}]},
        "workload": {"pattern": "closed"},
        "slo": {"p99_ms": 5},
    },
}

MATTERS: dict[str, Any] = {
    "model.generate.family": "",
    "model.generate.layers": 3,
    "model.generate.width": 128,
    "model.generate.heads": 8,
    "model.generate.image_size": 32,
    "model.generate.sequence_length": 16,
    "model.generate.seed": 5,
    "model.generate.train_steps": 3,
    "pipeline.side": "server",
    "pipeline.preprocess": [{"op": "decode_image", "channels": "gray"}],
    "pipeline.postprocess": [{"op": "softmax"}],
    "requests.dataset": "other",
    "requests.batch_size": 2,
    "requests.distinct": 4,
    "workload.pattern": "",
    "workload.warmup": "1s",
    "workload.duration": "20s",
    "workload.request_timeout": "1s",
    "workload.concurrency": 4,
    "workload.rate": 6,
    "workload.think_time": "1ms",
    "workload.max_in_flight": 8,
    "workload.trace": "another",
    "workload.speed": 2,
    "workload.repeats": 3,
    "workload.cache": "cold",
    "workload.inferences": 20,
    "network.delay_ms": 1,
    "network.jitter_ms": 1,
    "network.rate_mbit": 1,
    "network.loss_pct": 1,
    "network": "lan",
}
"""Path -> another value for it. The two empty ones choose variants, which the bases differ in."""

DOES_NOT_MATTER: dict[str, Any] = {
    "model.name": "other",  # the digest says what was served
    "model.version": 2,
    "workload.seed": 9,
    "service.platform": "triton",
    "service.launch": "docker",
    "service.protocol": "grpc",
    "service.device": "cuda",
    "service.threads": 4,
    "service.instances": 4,
    "service.batching.max_batch_size": 4,
    "service.batching.max_delay_ms": 4,
    "service.url": "",  # goes with platform endpoint only
    "service.endpoint": "",  # the same; a template is part of the model's name, see tests of model_repo.identity
    "service.ready_timeout": "5s",
    "slo.p50_ms": 1,
    "slo.p90_ms": 1,
    "slo.p95_ms": 1,
    "slo.p99_ms": 1,
    "slo.error_rate": 1,
    "slo.throughput_rps": 1,
    "slo.p999_ms": 1,
    "slo.good_share": 0.9,
    "slo.request": {"response_ms": 5},
    "collect.kernel_timestamps": True,
    "collect.request_stages": False,
    "requires.device": "cpu",
    "requires.labels": {"zone": "a"},
}


def fields_of(model: BaseModel, path: str = "") -> Iterator[str]:
    """The path of every field of a run, below every section."""
    for name in type(model).model_fields:
        value = getattr(model, name)
        if isinstance(value, BaseModel):
            yield from fields_of(value, f"{path}{name}.")
        else:
            yield f"{path}{name}"


def changed(base: dict[str, Any], path: str, value: Any) -> RunSpec:
    """A run that differs from the base in one place."""
    *sections, key = path.split(".")
    data = {**base}
    target = data
    for section in sections:
        target[section] = dict(target.get(section) or {})
        target = target[section]
    target[key] = value
    return RunSpec.model_validate(data)


def key_of(spec: RunSpec) -> str:
    """The key, with a digest where the model needs one."""
    return comparability_key(spec, DIGEST if hasattr(spec.model, "name") else None, None)


def having(path: str) -> list[dict[str, Any]]:
    """The bases that have a field."""
    return [base for base in BASES.values() if path in set(fields_of(RunSpec.model_validate(base)))]


def test_every_field_of_a_run_has_been_decided_on() -> None:
    """A new field has to be put into one of the tables above before it can be shipped."""
    known = set(itertools.chain.from_iterable(fields_of(RunSpec.model_validate(base)) for base in BASES.values()))
    assert known - {"slo", "network"} == (MATTERS.keys() | DOES_NOT_MATTER.keys()) - {"network"}
    assert RunSpec.model_fields.keys() == TASK_SECTIONS | COMPARED_SECTIONS
    assert not TASK_SECTIONS & COMPARED_SECTIONS


@pytest.mark.parametrize("path", [path for path, value in MATTERS.items() if value != ""])
def test_a_difference_in_the_task_makes_another_key(path: str) -> None:
    """Records that were asked different things are never ranked together."""
    assert having(path)
    for base in having(path):
        if path.startswith("network") and base["workload"]["pattern"] == "cold-start":
            continue  # nothing crosses a link
        if path == "pipeline.postprocess" and "requests" not in base:
            continue  # synthetic tensors take no ops
        if path.startswith("pipeline.p") and "requests" not in base:
            continue
        if path == "model.generate.train_steps":
            base = {**base, "service": {"platform": "torchscript"}}  # noqa: PLW2901 - which is compared, and trains
        assert key_of(changed(base, path, MATTERS[path])) != key_of(RunSpec.model_validate(base))


@pytest.mark.parametrize("path", [path for path, value in DOES_NOT_MATTER.items() if value != ""])
def test_a_difference_in_what_is_compared_keeps_the_key(path: str) -> None:
    """The serving configuration, the limits and the place are what a leaderboard is about."""
    for base in having(path):
        if path.startswith("slo") and base["workload"]["pattern"] == "cold-start":
            continue  # there is no load to limit
        assert key_of(changed(base, path, DOES_NOT_MATTER[path])) == key_of(RunSpec.model_validate(base))


def test_variants_have_different_keys() -> None:
    """Families and patterns are different tasks."""
    assert len({key_of(RunSpec.model_validate(base)) for base in BASES.values()}) == len(BASES)


def test_spelling_does_not_matter() -> None:
    """A minute is sixty seconds, and 5 is 5.0."""
    one, other = (
        RunSpec.model_validate(
            {**BASES["cnn"], "workload": {"pattern": "constant", "rate": rate, "duration": duration}}
        )
        for rate, duration in ((5, "60s"), (5.0, "1m"))
    )
    assert key_of(one) == key_of(other)


def test_the_bytes_of_model_and_dataset_decide_and_not_their_names() -> None:
    """Another digest is another task; the same bytes under two names are one."""
    spec, renamed = RunSpec.model_validate(BASES["named"]), changed(BASES["named"], "requests.dataset", "copy")
    key = comparability_key(spec, DIGEST, DIGEST)
    assert key != comparability_key(spec, "b" * 64, DIGEST)
    assert key != comparability_key(spec, DIGEST, "b" * 64)
    assert key == comparability_key(renamed, DIGEST, DIGEST)


def test_the_bytes_of_a_trace_decide_and_not_its_name() -> None:
    """As with a dataset; a trace by its name alone is another task than one by its bytes."""
    spec, renamed = RunSpec.model_validate(BASES["trace"]), changed(BASES["trace"], "workload.trace", "copy")
    key = comparability_key(spec, None, None, DIGEST)
    assert key == comparability_key(renamed, None, None, DIGEST)
    assert len({key, comparability_key(spec, None, None, "b" * 64), key_of(spec)}) == 3
    assert task_of(spec, None, None, DIGEST)["workload"].items() >= {"trace": "monday", "sha256": DIGEST}.items()


def test_a_registered_model_without_digest_has_no_key() -> None:
    """Its name alone does not say what was served."""
    with pytest.raises(ValueError, match="no digest"):
        comparability_key(RunSpec.model_validate(BASES["named"]), None, None)


def test_the_key_is_stable_across_releases() -> None:
    """Stored records keep their place: this value changes only together with the schema's version."""
    assert (
        key_of(RunSpec.model_validate(BASES["fc"]))
        == "346602943c7e95325bf71981fcf90c651934e6d3158c7071fa01da93142f6e54"
    )


def test_a_section_that_came_later_leaves_older_keys_as_they_are() -> None:
    """These values are those of the release before ``service.endpoint``; where that is given, it counts."""
    endpoint = {"platform": "endpoint", "url": "http://10.0.0.1:8000"}
    spoken = {**endpoint, "endpoint": {"api": "tensorflow"}}
    keys = [configuration_key("k", ServiceSpec.model_validate(service), {}, {}) for service in ({}, endpoint, spoken)]
    assert keys[:2] == [
        "e3bdcada6757f9233add17f4a7fec57cd2e8df3012ed1c4179aa7f6b095195cb",
        "3dfd518b589e5fa5483ec5441178bdfdcabedb79a30c361d9e97c4b368010187",
    ]
    assert keys[2] not in keys[:2]
    run = {"model": {"generate": {"family": "fc"}}, "workload": {"pattern": "poisson", "rate": 5, "seed": 3}}
    key = asked_key("c", RunSpec.model_validate(run))
    assert key == "f5aab099e60c185ef875cb6422b33a77d00282a345500ebb9680db9b56fb9f7f"


def test_the_task_is_readable() -> None:
    """People see names, and nothing of what is being compared."""
    task = task_of(RunSpec.model_validate(BASES["named"]), DIGEST, None)
    assert task["model"] == {"name": "m", "sha256": DIGEST}
    assert task["requests"]["dataset"] == "images"
    assert task["workload"]["duration"] == "10s"
    assert "seed" not in task["workload"]
    assert not {"service", "slo", "requires"} & task.keys()


HOST = Inventory(
    hostname="lab-1", cpu_model="Xeon", logical_cores=8, physical_cores=4, caches={"L2": 1}, memory_bytes=1,
    kernel="6", os="Debian", governor="performance",
    gpus=(Gpu(index=0, name="T4", memory_bytes=1, driver="1", uuid="u"),),
)  # fmt: skip
SLOT = Slot(name="cpu0", device="cpu", server_cores=(0, 1), client_cores=(2, 3))


def test_repeats_on_the_same_kind_of_host_share_their_configuration() -> None:
    """Another host of the same make is the same kind; a GPU that the slot does not use is not part of it."""
    twin = HOST.model_copy(update={"hostname": "lab-2", "gpus": (), "memory_bytes": 2})
    assert hardware_of(HOST, SLOT) == hardware_of(twin, SLOT)


@pytest.mark.parametrize(
    "other",
    [
        hardware_of(HOST.model_copy(update={"cpu_model": "EPYC"}), SLOT),
        hardware_of(HOST.model_copy(update={"governor": "powersave"}), SLOT),
        hardware_of(HOST, SLOT.model_copy(update={"server_cores": (0,)})),
        hardware_of(HOST, SLOT.model_copy(update={"client_cores": (1, 2)})),
        hardware_of(HOST, SLOT.model_copy(update={"gpus": (0,)})),
    ],
)
def test_other_hardware_is_another_configuration(other: dict[str, Any]) -> None:
    """What the service runs on, how many cores it has to itself, and the governor decide the numbers."""
    service, versions = ServiceSpec(), {"onnxruntime": "1"}
    assert configuration_key("k", service, hardware_of(HOST, SLOT), versions) != configuration_key(
        "k", service, other, versions
    )


def test_service_and_versions_are_part_of_the_configuration() -> None:
    """A time limit on the start is not: it leaves no trace in the measurement."""
    hardware, versions = hardware_of(HOST, SLOT), {"onnxruntime": "1"}
    key = configuration_key("k", ServiceSpec(), hardware, versions)
    assert key != configuration_key("k", ServiceSpec(threads=2), hardware, versions)
    assert key != configuration_key("k", ServiceSpec(), hardware, {"onnxruntime": "2"})
    assert key != configuration_key("other", ServiceSpec(), hardware, versions)
    limited = ServiceSpec.model_validate({"ready_timeout": "5s"})
    assert key == configuration_key("k", limited, hardware, versions)
