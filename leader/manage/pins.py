"""What a job names by name, fixed by digest when it is submitted."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from leader.manage.views import kind_of
from model_repo.cards import parse_card
from model_repo.protocol import ModelStore, VersionedBlob, VersionStore
from shared.errors import InvalidInput, NotFound, Problem
from shared.jobs.diagnosis import nearest
from shared.jobs.feeding import Misfit, feeds_of
from shared.jobs.formats import SERVES, ways_to_serve
from shared.jobs.section import path_of
from shared.jobs.spec import NamedModel, RunSpec
from shared.jobs.workload import TraceWorkload
from shared.wire.assignment import BlobPin, ModelPin
from shared.wire.views import DatasetKind

SYNTHETIC: Final = "synthetic"
"""Tensors made on the follower: no dataset of this name is ever looked up."""

PATHS: Final[dict[DatasetKind, str]] = {"dataset": "requests.dataset", "trace": "workload.trace"}
"""Where a job file names them."""

_PAGE: Final = 200
_MOST_NAMES: Final = 2_000


def _require_loadable(specs: Sequence[RunSpec], models: Mapping[tuple[str, object], ModelPin]) -> None:
    """Raises InvalidInput where a run's platform does not load the format of its model."""
    for spec in specs:
        if not isinstance(spec.model, NamedModel) or not (loads := SERVES[spec.service.platform]):
            continue
        found = parse_card(models[spec.model.name, spec.model.version].card).format
        if found not in loads:
            hint = ways_to_serve(found, spec.service.platform)
            message = f"{spec.service.platform} does not load model {spec.model.name}, which is {found}; {hint}"
            problem = Problem(path="service.platform", message=message, found=found, allowed=", ".join(loads))
            raise InvalidInput(message, problems=[problem])


def _require_fed(specs: Sequence[RunSpec], models: Mapping[tuple[str, object], ModelPin]) -> None:
    """Raises InvalidInput where a run's pipeline does not feed the inputs that the card of its model names."""
    for spec in specs:
        if not isinstance(spec.model, NamedModel) or spec.requests.dataset == SYNTHETIC:
            continue
        pin = models.get((spec.model.name, spec.model.version))  # none is fetched for an endpoint
        if pin is None or not (inputs := parse_card(pin.card).inputs):
            continue
        try:
            feeds_of(spec.pipeline, inputs)
        except Misfit as error:
            path = path_of(("pipeline", *error.contradiction.loc))
            allowed = ", ".join(f"{each.name} ({each.datatype})" for each in inputs)
            message = f"the pipeline does not feed model {spec.model.name}: {error}"
            raise InvalidInput(message, problems=[Problem(path=path, message=message, allowed=allowed)]) from error


@dataclass(frozen=True)
class Pins:
    """Everything that a job names by name, fixed by digest; traces stand among the datasets."""

    models: tuple[ModelPin, ...]
    datasets: tuple[BlobPin, ...]


class Pinner:
    """Looks up the latest ready versions."""

    def __init__(self, models: ModelStore, datasets: VersionStore) -> None:
        self._models = models
        self._datasets = datasets

    async def pins(self, specs: Sequence[RunSpec]) -> Pins:
        """What the runs name.

        Raises:
            NotFound: no such model, or no such trace; the nearest name of a trace is told.
            Conflict: the model's version is not ready.
            InvalidInput: a trace is named where a dataset is needed, or the reverse; a platform does not load a model,
                or a pipeline does not feed it.
            Unavailable.
        """
        fetched = [spec for spec in specs if spec.service.platform != "endpoint"]
        named = dict.fromkeys((s.model.name, s.model.version) for s in fetched if isinstance(s.model, NamedModel))
        models = [await self._models.pin(name, version) for name, version in named]
        pinned: dict[tuple[str, object], ModelPin] = dict(zip(named, models, strict=True))
        _require_loadable(specs, pinned)
        _require_fed(specs, pinned)
        datasets = dict.fromkeys(spec.requests.dataset for spec in specs if spec.requests.dataset != SYNTHETIC)
        traces = dict.fromkeys(spec.workload.trace for spec in specs if isinstance(spec.workload, TraceWorkload))
        found = [version for name in datasets if (version := await self._latest(name, "dataset"))]
        found += [await self._trace(name) for name in traces]
        pins = [
            BlobPin(name=version.name, version=version.version, sha256=version.sha256, size_bytes=version.size_bytes)
            for version in found
        ]
        return Pins(tuple({(pin.name, pin.version): pin for pin in models}.values()), tuple(pins))

    async def _latest(self, name: str, wanted: DatasetKind) -> VersionedBlob | None:
        """The latest ready version; None where nobody uploaded any. Raises InvalidInput: it is of the other kind."""
        found = await self._datasets.latest_ready(name)
        if found is not None and kind_of(found) != wanted:
            is_named = f"version {found.version} of {name!r} is a {kind_of(found)}, not a {wanted}"
            other = PATHS["trace" if wanted == "dataset" else "dataset"]
            problem = Problem(path=PATHS[wanted], message=f"{is_named}; {other} names such", found=name)
            raise InvalidInput(is_named, problems=[problem])
        return found

    async def _trace(self, name: str) -> VersionedBlob:
        found = await self._latest(name, "trace")
        if found is None:
            near = nearest(name, [each async for each in self._traces()])
            problem = Problem(path=PATHS["trace"], message="no such trace was uploaded", found=name, suggestion=near)
            raise NotFound(f"there is no trace {name!r} that is ready", problems=[problem])
        return found

    async def _traces(self) -> AsyncIterator[str]:
        """Names of the traces that are ready, up to a bound."""
        after, seen = None, 0
        while seen < _MOST_NAMES and (page := await self._datasets.search("", after=after, limit=_PAGE)):
            for version in page:
                if kind_of(version) == "trace":
                    yield version.name
            after, seen = (page[-1].name, page[-1].version), seen + len(page)
