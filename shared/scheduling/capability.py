"""Can this follower run that? One pure check, used at submit and at every claim."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

from shared.jobs.endpoint_address import is_allowed, parse_address
from shared.jobs.spec import RunSpec
from shared.scheduling.needs import SECRET_PATH, URL_PATH, Need, Needs, needs_of
from shared.wire.identity import Capabilities, PlatformOffer, Slot

_OFFER_FIELDS: Final[Mapping[str, str]] = {
    "service.launch": "launch",
    "service.protocol": "protocol",
    "service.device": "device",
    "pipeline.side": "pipeline_sides",
}
_LABEL: Final = "requires.labels."


@dataclass(frozen=True)
class Gap:
    """Something that a run needs and a follower does not announce."""

    path: str  # in the job file
    needed: str
    announced: tuple[str, ...]


def gaps(
    spec: RunSpec, have: Capabilities, *, slot: Slot | None = None, uploaded_datasets: Collection[str] = ()
) -> list[Gap]:
    """What keeps a follower with capabilities ``have`` from running ``spec``; empty means nothing does.

    With ``slot``, also whether that slot of the follower has the right device.
    """
    return unmet(needs_of(spec, uploaded_datasets), have, slot=slot)


def unmet(needs: Needs, have: Capabilities, *, slot: Slot | None = None) -> list[Gap]:
    """As ``gaps``, from the needs that are kept beside a queued run."""
    offer = _best_offer(needs, have)
    found = ((need, _announced(need, have, offer, slot)) for need in needs)
    return [
        Gap(need.path, need.value, tuple(sorted(set(announced))))
        for need, announced in found
        if need.value not in announced
    ]


def _best_offer(needs: Needs, have: Capabilities) -> PlatformOffer | None:
    """The offer of the platform that misses least: two offers must not lend each other their halves."""
    wanted = {need.path: need.value for need in needs}

    def misses(offer: PlatformOffer) -> int:
        fields = ((path, field) for path, field in _OFFER_FIELDS.items() if path in wanted)
        return sum(wanted[path] not in getattr(offer, field) for path, field in fields)

    offers = [offer for offer in have.platforms if offer.platform == wanted["service.platform"]]
    return min(offers, key=misses, default=None)


def _announced(need: Need, have: Capabilities, offer: PlatformOffer | None, slot: Slot | None) -> Collection[str]:
    if need.path in _OFFER_FIELDS:
        return _offered(need, offer, slot)
    if need.path == URL_PATH:
        return _reachable(need, have, offer)
    if need.path.startswith(_LABEL):
        label = have.labels.get(need.path.removeprefix(_LABEL))
        return () if label is None else (label,)
    if need.path.endswith("].op"):
        return have.ops
    return {
        "model.generate.family": have.model_families,
        "service.platform": tuple(offer.platform for offer in have.platforms),
        SECRET_PATH: have.endpoint_secrets,
        "requests.dataset": have.datasets,
        "workload.pattern": have.patterns,
        "network": have.networks,
    }[need.path]


def _reachable(need: Need, have: Capabilities, offer: PlatformOffer | None) -> Collection[str]:
    """The address itself where the follower's allow-list names its host, else the list."""
    if offer is None:  # the platform is the gap
        return (need.value,)
    try:
        named = parse_address(need.value)
    except ValueError:  # refused by the follower, which says why
        return have.endpoints
    return (need.value,) if is_allowed(named, have.endpoints) else have.endpoints


def _offered(need: Need, offer: PlatformOffer | None, slot: Slot | None) -> Collection[str]:
    if offer is None:  # the platform is the gap, and the rest depends on it
        return (need.value,)
    offered: tuple[str, ...] = getattr(offer, _OFFER_FIELDS[need.path])
    if need.path == "service.device" and slot is not None:
        return tuple(device for device in offered if device == slot.device)
    return offered
