"""Can this follower run that? One pure check, used at submit and at every claim."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from shared.jobs.network import NetworkLink
from shared.jobs.spec import GeneratedModel, RunSpec
from shared.wire.identity import Capabilities


@dataclass(frozen=True)
class Gap:
    """Something that a run needs and a follower does not announce."""

    path: str  # in the job file
    needed: str
    announced: tuple[str, ...]


def gaps(spec: RunSpec, have: Capabilities, *, uploaded_datasets: Collection[str] = ()) -> list[Gap]:
    """What keeps a follower with capabilities ``have`` from running ``spec``; empty means nothing does."""
    return [*_service_gaps(spec, have), *_other_gaps(spec, have, uploaded_datasets)]


def _service_gaps(spec: RunSpec, have: Capabilities) -> Iterator[Gap]:
    wanted = spec.service
    offers = [offer for offer in have.platforms if offer.platform == wanted.platform]
    if not offers:
        yield Gap("service.platform", wanted.platform, tuple(sorted({o.platform for o in have.platforms})))
        return
    for field in ("launch", "protocol", "device"):
        needed: str = getattr(wanted, field)
        announced = sorted({value for offer in offers for value in getattr(offer, field)})
        if needed not in announced:
            yield Gap(f"service.{field}", needed, tuple(announced))


def _other_gaps(spec: RunSpec, have: Capabilities, uploaded_datasets: Collection[str]) -> Iterator[Gap]:
    network = "custom" if isinstance(spec.network, NetworkLink) else spec.network
    yield from _missing("network", network, have.networks)
    yield from _missing("workload.pattern", spec.workload.pattern, have.patterns)
    ops = [*spec.pipeline.preprocess, *spec.pipeline.postprocess]
    if ops:
        yield from _missing("pipeline.side", spec.pipeline.side, have.pipeline_sides)
    for op in ops:
        yield from _missing("pipeline", op.op, have.ops)
    if isinstance(spec.model, GeneratedModel):
        yield from _missing("model.generate.family", spec.model.generate.family, have.model_families)
    yield from _missing("requests.dataset", spec.requests.dataset, [*have.datasets, *uploaded_datasets])
    for label, value in spec.requires.labels.items():
        found = have.labels.get(label)
        if found != value:
            yield Gap(f"requires.labels.{label}", value, (found,) if found is not None else ())


def _missing(path: str, needed: str, announced: Collection[str]) -> Iterator[Gap]:
    if needed not in announced:
        yield Gap(path, needed, tuple(sorted(announced)))
