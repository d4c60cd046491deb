"""What a run needs of a follower: small, ordered, and cheap to keep beside a queued run."""

from collections.abc import Collection, Iterator
from typing import Final, NamedTuple

from shared.jobs.network import NetworkLink, custom_kind
from shared.jobs.section import path_of
from shared.jobs.spec import GeneratedModel, RunSpec

URL_PATH: Final = "service.url"
SECRET_PATH: Final = "service.endpoint.secret"  # noqa: S105 - of a name


class Need(NamedTuple):
    """One thing: where the job file asks for it, and what it asks for."""

    path: str
    value: str


Needs = tuple[Need, ...]


def needs_of(spec: RunSpec, uploaded_datasets: Collection[str] = ()) -> Needs:
    """Everything that a run needs, in the order of the job file. Uploaded datasets come from the leader: no need."""
    return tuple(_needs(spec, uploaded_datasets))


def _needs(spec: RunSpec, uploaded_datasets: Collection[str]) -> Iterator[Need]:
    if isinstance(spec.model, GeneratedModel):
        yield Need("model.generate.family", spec.model.generate.family)
    for field in ("platform", "launch", "protocol", "device"):
        yield Need(f"service.{field}", getattr(spec.service, field))
    if spec.service.url is not None:
        yield Need(URL_PATH, spec.service.url)
    if spec.service.endpoint is not None and spec.service.endpoint.secret is not None:
        yield Need(SECRET_PATH, spec.service.endpoint.secret)
    yield from _pipeline_needs(spec)
    if spec.requests.dataset not in uploaded_datasets:
        yield Need("requests.dataset", spec.requests.dataset)
    yield Need("workload.pattern", spec.workload.pattern)
    yield Need("network", custom_kind(spec.network) if isinstance(spec.network, NetworkLink) else spec.network)
    for label, value in spec.requires.labels.items():
        yield Need(f"requires.labels.{label}", value)


def _pipeline_needs(spec: RunSpec) -> Iterator[Need]:
    if spec.pipeline.preprocess or spec.pipeline.postprocess:
        yield Need("pipeline.side", spec.pipeline.side)
    for phase, ops in (("preprocess", spec.pipeline.preprocess), ("postprocess", spec.pipeline.postprocess)):
        for index, op in enumerate(ops):
            yield Need(path_of(("pipeline", phase, index, "op")), op.op)
