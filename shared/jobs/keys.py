"""Keys that say which records may be ranked together, which are repeats, and which may stand in for a run.

A key is the SHA-256 of canonical JSON: sorted keys, no spaces, durations and numbers in their one normal form, so
that ``1s`` and ``1000ms`` or ``50`` and ``50.0`` give the same key.

* **Comparability key**: the task. Equal for two records whose numbers answer the same question.
* **Configuration key**: the task, what served it, and on what. Equal for repeats.
* **Point key**: all that is asked for save the seed, and everything known of where it was measured. Equal for repeats
  that may stand in for one another.
* **Reuse key**: the point key and the seed. Equal for runs of which the second would do exactly what the first did.

The last two are strict, because a number that is reused is measured no more: whatever could move it is in them.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Final

from shared.jobs.spec import API_VERSION, CanonicalSpec, NamedModel, RunSpec, ServiceSpec
from shared.wire.identity import Inventory, PlatformOffer, Registration, Slot

TASK_SECTIONS: Final = frozenset({"model", "pipeline", "requests", "workload", "network"})
"""Sections of a run that say what is to be done: they must be equal for two records to be compared."""

COMPARED_SECTIONS: Final = frozenset({"service", "collect", "slo", "requires"})
"""Sections that say how it is done, what is hoped for and where: a reader compares records that differ in them."""

_NOT_TASK: Final = {"workload": frozenset({"seed"})}
"""A seed draws one sample of the same arrival process; repeats differ in nothing else."""

_CAME_LATER: Final = {"workload": {"think_time": "0s", "max_in_flight": None}}
"""What every run had before a key existed: left out where it says no more, so that stored records keep their keys."""

_OP_CAME_LATER: Final = {"tokenize": {"special_tokens": False, "outputs": None}}
"""The same of the keys of an op of the pipeline, by the op's name."""

_GENERATE_CAME_LATER: Final = {"train_steps": 0}
"""The same of the hyper-parameters of a canonical model."""

_NOT_CONFIGURATION: Final = frozenset({"ready_timeout"})
"""A limit on the start that leaves no trace in what is measured."""

_SERVICE_CAME_LATER: Final = frozenset({"endpoint"})
"""As with the task's sections: left out of keys where it is None, and so is a secret within it."""

_WHERE: Final = frozenset({"requires"})
"""Says which followers may take a run; what is known of those is in the key itself."""


def digest_of(value: Any) -> str:
    """SHA-256 of the canonical JSON of ``value``, in hexadecimal."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def comparability_key(
    spec: RunSpec, model_digest: str | None, dataset_digest: str | None, trace_digest: str | None = None
) -> str:
    """Digest of the task: equal for records that may be ranked together.

    Args:
        spec: the run.
        model_digest: SHA-256 of a registered model's bytes; of a generated model, the digest of its spec and of the
            generator's version (None: the spec alone tells them apart).
        dataset_digest: SHA-256 of an uploaded dataset's bytes; None for a built-in or synthetic one.
        trace_digest: SHA-256 of the bytes of the trace that is replayed; None where none is.

    Raises:
        ValueError: a registered model without a digest: its name alone does not say what was served.
    """
    task = task_of(spec, model_digest, dataset_digest, trace_digest)
    task["model"].pop("name", None)  # the same bytes under two names are the same model
    if dataset_digest is not None:
        del task["requests"]["dataset"]
    if trace_digest is not None:
        del task["workload"]["trace"]
    return digest_of(task)


def task_of(
    spec: RunSpec, model_digest: str | None, dataset_digest: str | None, trace_digest: str | None = None
) -> dict[str, Any]:
    """What the comparability key covers, for people to read; names stand beside the digests that count.

    Raises:
        ValueError: as ``comparability_key``.
    """
    dumped = spec.model_dump(mode="json")
    task = {name: dumped[name] for name in sorted(TASK_SECTIONS)}
    for section, ignored in _NOT_TASK.items():
        task[section] = {key: value for key, value in task[section].items() if key not in ignored}
    for section, usual in _CAME_LATER.items():
        task[section] = {key: value for key, value in task[section].items() if key not in usual or value != usual[key]}
    task["pipeline"] = {**task["pipeline"], "preprocess": [_op_as_it_was(op) for op in task["pipeline"]["preprocess"]]}
    if isinstance(spec.model, NamedModel):
        if model_digest is None:
            raise ValueError(f"model {spec.model.name!r} has no digest yet, so nothing can be compared with it")
        task["model"] = {"name": spec.model.name}
    else:
        task["model"] = {"generate": canonical_identity(spec.model.generate)}
    if model_digest is not None:
        task["model"] = {**task["model"], "sha256": model_digest}
    if dataset_digest is not None:
        task["requests"] = {**task["requests"], "sha256": dataset_digest}
    if trace_digest is not None:
        task["workload"] = {**task["workload"], "sha256": trace_digest}
    return {"schema": API_VERSION, **task}


def canonical_identity(spec: CanonicalSpec) -> dict[str, Any]:
    """What a canonical model's digest covers of its hyper-parameters."""
    return {key: value for key, value in spec.model_dump(mode="json").items() if _GENERATE_CAME_LATER.get(key) != value}


def _op_as_it_was(op: Mapping[str, Any]) -> dict[str, Any]:
    usual = _OP_CAME_LATER.get(op["op"], {})
    return {key: value for key, value in op.items() if key not in usual or value != usual[key]}


def configuration_key(
    comparability: str, service: ServiceSpec, hardware: Mapping[str, Any], versions: Mapping[str, str]
) -> str:
    """Digest of a task, its serving configuration and its kind of host: equal for repeats.

    Args:
        comparability: the comparability key.
        service: what served it.
        hardware: as ``hardware_of`` gives it.
        versions: of the platform and everything else that decides how fast it is.
    """
    dumped = service.model_dump(mode="json", exclude=set(_NOT_CONFIGURATION))
    return digest_of([comparability, _as_it_was(dumped), dict(hardware), dict(versions)])


def _as_it_was(service: Mapping[str, Any]) -> dict[str, Any]:
    endpoint = service.get("endpoint")
    if endpoint is not None:
        service = {**service, "endpoint": {key: value for key, value in endpoint.items() if key != "secret" or value}}
    return {key: value for key, value in service.items() if key not in _SERVICE_CAME_LATER or value is not None}


def hardware_of(inventory: Inventory, slot: Slot) -> dict[str, Any]:
    """What makes two hosts the same kind: the parts in use, not the host's name or what else is plugged in."""
    return {
        "cpu": inventory.cpu_model,
        "caches": inventory.caches,
        "governor": inventory.governor,
        "server_cores": len(slot.server_cores),
        "client_cores": len(slot.client_cores),
        "shared_cores": len(set(slot.server_cores) & set(slot.client_cores)),
        "gpus": sorted(gpu.name for gpu in inventory.gpus if gpu.index in slot.gpus),
    }


def is_reusable(spec: RunSpec) -> bool:
    """Whether two equal runs measure the same thing: not where nobody knows what stands behind an address."""
    return spec.service.platform != "endpoint"


def asked_key(comparability: str, spec: RunSpec) -> str:
    """Digest of all that a run asks for, save its seed and which followers may take it: one half of a point key.

    Args:
        comparability: the run's comparability key.
        spec: the run.
    """
    dumped = spec.model_dump(mode="json", include=set(COMPARED_SECTIONS - _WHERE))
    return digest_of([comparability, {**dumped, "service": _as_it_was(dumped["service"])}])


def place_key(registration: Registration, slot: Slot, service: ServiceSpec) -> str:
    """Digest of everything that a follower announces and that could move a number: the other half of a point key.

    Its hardware as ``hardware_of`` tells it, the drivers of its GPUs, kernel, system and virtualisation, the version
    of the platform, of the harness and of every library that the inventory lists. Not its name: twins are equal.
    """
    inventory = registration.inventory
    return digest_of(
        {
            "hardware": hardware_of(inventory, slot),
            "device": slot.device,
            "drivers": sorted(gpu.driver for gpu in inventory.gpus if gpu.index in slot.gpus),
            "kernel": inventory.kernel,
            "os": inventory.os,
            "virtualization": inventory.virtualization,
            "platforms": sorted(o.version for o in registration.capabilities.platforms if _serves(o, service)),
            "harness": registration.version,
            "versions": inventory.versions,
        }
    )


def _serves(offer: PlatformOffer, service: ServiceSpec) -> bool:
    return (
        offer.platform == service.platform
        and service.launch in offer.launch
        and service.protocol in offer.protocol
        and service.device in offer.device
    )


def point_key(asked: str, place: str) -> str:
    """Digest of what is asked for and where it is measured, from ``asked_key`` and ``place_key``."""
    return digest_of([asked, place])


def reuse_key(point: str, seed: int) -> str:
    """Digest of a point key and the seed of the workload."""
    return digest_of([point, seed])
