"""What a run takes beside its window, learnt from runs that ended: set-up before it, collection behind it.

Quantiles are looked up from the most to the least specific kind of run that was seen often enough:

    (platform, model, follower, cache state) -> (platform, model, cache state) -> (platform, model)
    -> (platform, family) -> platform -> prior

Only the last ``REMEMBERED`` runs of a kind count, so that the answer follows a host that changes. The cache state is
not told by anybody: the first run of a model on a follower found it cold, every later one warm.
"""

from collections import defaultdict, deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from shared.jobs.keys import canonical_identity
from shared.jobs.spec import NamedModel, RunSpec

SETUP_S: Final[Mapping[str, float]] = {
    "onnxruntime": 2.0,
    "openvino": 3.0,
    "torchscript": 8.0,
    "tfserving": 10.0,
    "tfs-compat": 10.0,
    "triton": 15.0,
    "endpoint": 0.5,
}
"""Platform -> seconds from the claim to the first warm-up request: a prior, for a model already on the follower."""

CALIBRATION_S: Final = 2.0
"""Seconds that a client takes to calibrate itself before its first load of a kind; part of the prior's set-up."""

COLLECTION_S: Final = 1.5
"""Seconds from the end of the window to the stored record: a prior."""

PRIOR_SPREAD: Final = 2.0
"""The prior's p90 over its p50: nothing was measured, so the interval is wide."""

ENOUGH: Final = 3
"""Runs of a kind from which its quantiles are believed."""

REMEMBERED: Final = 50


@dataclass(frozen=True)
class Quantiles:
    """A duration, in seconds."""

    p50_s: float
    p90_s: float


@dataclass(frozen=True)
class Served:
    """What is served, as far as its set-up time depends on it."""

    platform: str
    model: str
    family: str


@dataclass(frozen=True, kw_only=True)
class Observed:
    """What one run took beside its window."""

    served: Served
    follower: str
    setup_s: float
    collection_s: float


def served_of(spec: RunSpec) -> Served:
    """The kind of a run. A registered model is a family, whose versions are its models; so are hyper-parameters."""
    if isinstance(spec.model, NamedModel):
        return Served(spec.service.platform, f"{spec.model.name}@{spec.model.version}", spec.model.name)
    shape = canonical_identity(spec.model.generate)
    model = " ".join(f"{name}={value}" for name, value in sorted(shape.items()) if name not in {"seed", "family"})
    family = spec.model.generate.family
    return Served(spec.service.platform, f"{family} {model}", family)


def split_overhead(occupied_s: float, window_s: float, setup_s: float) -> tuple[float, float]:
    """Set-up and collection of a run that held a slot for ``occupied_s``, as the leader's clock saw it.

    A follower's word only divides what the leader measured: whatever it says, neither part is negative, and with the
    window they add up to no more than the time that the slot was taken.
    """
    beside_s = max(0.0, occupied_s - window_s)
    setup_s = min(max(0.0, setup_s), beside_s)
    return setup_s, beside_s - setup_s


class SetupTimes:
    """The quantiles of what was observed. ``observed``: oldest first."""

    def __init__(self, observed: Iterable[Observed] = ()) -> None:
        self._seen: dict[str, set[Served]] = defaultdict(set)
        self._setup: dict[tuple[object, ...], deque[float]] = defaultdict(lambda: deque(maxlen=REMEMBERED))
        self._collection: dict[str, deque[float]] = defaultdict(lambda: deque(maxlen=REMEMBERED))
        for one in observed:
            self.add(one)

    def add(self, one: Observed) -> None:
        """The next run that ended."""
        for kind in _kinds(one.served, one.follower, warm=self.is_warm(one.served, one.follower)):
            self._setup[kind].append(one.setup_s)
        self._collection[one.served.platform].append(one.collection_s)
        self._seen[one.follower].add(one.served)

    def is_warm(self, served: Served, follower: str) -> bool:
        """Whether the follower has run the model on the platform before."""
        return served in self._seen.get(follower, ())

    def warm_on(self, follower: str) -> Collection[Served]:
        """What the follower has run before."""
        return self._seen.get(follower, set())

    def saved_s(self, served: Served) -> float:
        """Seconds of set-up that a warm follower saves; 0 where that is not known."""
        cold, warm = (self._setup.get(_cached(served, warm=warm), ()) for warm in (False, True))
        if len(cold) < ENOUGH or len(warm) < ENOUGH:
            return 0.0
        return max(0.0, _quantiles(cold).p50_s - _quantiles(warm).p50_s)

    def setup(self, served: Served, follower: str | None = None) -> Quantiles:
        """From the claim to the first request; on this follower, where it is known."""
        warm = follower is not None and self.is_warm(served, follower)
        for kind in _kinds(served, follower, warm=warm):
            if len(known := self._setup.get(kind, ())) >= ENOUGH:
                return _quantiles(known)
        prior_s = SETUP_S[served.platform] + CALIBRATION_S
        return Quantiles(prior_s, prior_s * PRIOR_SPREAD)

    def collection(self, platform: str) -> Quantiles:
        """From the end of the window to the stored result."""
        known = self._collection.get(platform, ())
        return _quantiles(known) if len(known) >= ENOUGH else Quantiles(COLLECTION_S, COLLECTION_S * PRIOR_SPREAD)


def _kinds(served: Served, follower: str | None, *, warm: bool) -> list[tuple[object, ...]]:
    """What a run is one of, the most specific kind first."""
    platform = served.platform
    known: list[tuple[object, ...]] = [
        ("model", platform, served.model),
        ("family", platform, served.family),
        ("platform", platform),
    ]
    if follower is None:
        return known
    return [("here", platform, served.model, follower, warm), _cached(served, warm=warm), *known]


def _cached(served: Served, *, warm: bool) -> tuple[object, ...]:
    return ("cache", served.platform, served.model, warm)


def _quantiles(seconds: Sequence[float] | deque[float]) -> Quantiles:
    """Nearest ranks: of fewer than ten values the p90 is the largest."""
    ordered = sorted(seconds)
    return Quantiles(*(ordered[-(-len(ordered) * percent // 100) - 1] for percent in (50, 90)))
