"""Queues and slots for scheduling tests: small, readable, and of one device class unless said otherwise."""

from collections.abc import Iterable, Mapping, Sequence
from math import inf
from typing import Final

from shared.scheduling.backlog import Backlog, Queued, SlotKey
from shared.scheduling.needs import Need, Needs
from shared.scheduling.snapshot import Occupant, Quota, SlotState, Snapshot, TeamUse
from shared.wire.identity import Slot

DEVICE: Final = "service.device"


def needs(device: str = "cpu") -> Needs:
    """A run that needs nothing but a device class."""
    return (Need(DEVICE, device),)


def queued(
    run_id: str,
    predicted_s: float,
    submitted_s: float = 0.0,
    *,
    team: str = "a",
    priority: str = "normal",
    device: str = "cpu",
    deadline_s: float = inf,
    p90_s: float | None = None,
    affinity: str = "",
    setup_s: float = 0.0,
    cold: bool = False,
    bound_to: SlotKey | None = None,
    not_before_s: float = -inf,
    avoid: tuple[str, ...] = (),
) -> Queued:
    """A waiting run."""
    return Queued(
        run_id=run_id, team=team, predicted_s=predicted_s, predicted_p90_s=p90_s, submitted_s=submitted_s,
        priority=priority, needs=needs(device), deadline_s=deadline_s, affinity=affinity, setup_s=setup_s,
        cold_start_measured=cold, bound_to=bound_to, not_before_s=not_before_s, avoid=avoid,
    )  # fmt: skip


def key(name: str) -> SlotKey:
    """The only slot of a follower."""
    return SlotKey(name, "0")


def slot(
    name: str, *, device: str = "cpu", busy: Occupant | None = None, warm: Sequence[str] = (), accepts: bool = True
) -> SlotState:
    """A follower with one slot."""
    hardware = Slot(name="0", device=device, server_cores=(), client_cores=())
    return SlotState(key=key(name), slot=hardware, occupant=busy, warm=frozenset(warm), accepts=accepts)


def busy(team: str, ends_s: float, *, started_s: float = 0.0, run_id: str = "running") -> Occupant:
    """A run that holds a slot."""
    return Occupant(run_id=run_id, team=team, started_s=started_s, predicted_end_s=ends_s)


def same_device(needs: Needs, slot: SlotState) -> bool:
    """Whether the slot has the device class."""
    return slot.slot is not None and needs == (Need(DEVICE, slot.slot.device),)


def snapshot(
    runs: Iterable[Queued],
    slots: Sequence[SlotState],
    *,
    now_s: float = 0.0,
    use: Mapping[str, TeamUse] | None = None,
    quotas: Mapping[str, Quota] | None = None,
    bound_so_far: int = 0,
) -> Snapshot:
    """One moment."""
    return Snapshot(
        now_s=now_s, backlog=Backlog.of(runs), slots=slots, use=use or {}, quotas=quotas or {}, fits=same_device,
        bound_so_far=bound_so_far,
    )  # fmt: skip
