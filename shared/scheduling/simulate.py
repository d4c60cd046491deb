"""What a policy makes of a stream of runs, in virtual time, by the very code that places real ones."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from shared.errors import InvalidInput
from shared.scheduling.backlog import Queued, SlotKey
from shared.scheduling.bounds import flow_bounds_s
from shared.scheduling.cluster import Cluster, Ended
from shared.scheduling.needs import Need, Needs
from shared.scheduling.policy import DEFAULT, SchedulingPolicy
from shared.scheduling.snapshot import SlotState
from shared.scheduling.synthetic import Stream
from shared.wire.identity import Slot

Floats = NDArray[np.float64]
_DAY_S: Final = 86_400.0
_DEVICE: Final = "service.device"


@dataclass(frozen=True, kw_only=True)
class Setting:
    """Everything but the runs.

    Args:
        slots: device class -> slots, each a follower of its own.
        sigma: predictions are the truth times a log-normal factor of median 1 and this sigma; not those that the
            stream brings with it.
        deaths_per_day: of each follower; it comes back after ``outage_s``.
        reuse: a duplicate does not run: it ends when the run that it repeats has ended, at once if it has.
        stop_early: the share of each duration that stopping at a narrow interval saves.
    """

    slots: Mapping[str, int] = field(default_factory=lambda: {"cpu": 8})
    policy: SchedulingPolicy = DEFAULT
    sigma: float = 0.0
    deaths_per_day: float = 0.0
    outage_s: float = 600.0
    reuse: bool = False
    stop_early: float = 0.0

    def __post_init__(self) -> None:
        wrong = {
            "sigma": (self.sigma, self.sigma >= 0, "0 or more"),
            "deaths_per_day": (self.deaths_per_day, self.deaths_per_day >= 0, "0 or more"),
            "stop_early": (self.stop_early, 0 <= self.stop_early < 1, "0 to below 1"),
        }
        for name, (value, is_right, allowed) in wrong.items():
            if not is_right:
                raise InvalidInput(f"{name} is {value}; it must be {allowed}")


@dataclass(frozen=True)
class Outcome:
    """What happened; one entry per run of the stream, in its order."""

    stream: Stream
    executed: NDArray[np.bool_]  # False: answered by the record of another run
    taken_s: Floats  # how long the run takes a slot, early stopping counted
    started_s: Floats
    ended_s: Floats
    idle_while_waiting_s: float  # slot-seconds
    wasted_s: float  # slot-seconds of attempts cut off by deaths
    slots_by_device: Mapping[str, int]
    bounds_s: Floats  # each executed run's part of the certified bound; 0 for the others

    @property
    def completion_s(self) -> Floats:
        """From arrival to end, waiting included."""
        found: Floats = self.ended_s - self.stream.arrival_s
        return found

    @property
    def wait_s(self) -> Floats:
        """From arrival to the start of the attempt that ended the run; for a reused record, to its being there."""
        found: Floats = np.where(self.executed, self.started_s, self.ended_s) - self.stream.arrival_s
        return found

    @property
    def slot_s(self) -> float:
        """Slot-seconds from the first arrival to the last end."""
        return sum(self.slots_by_device.values()) * float(self.ended_s.max() - self.stream.arrival_s.min())

    @property
    def bound_s(self) -> float:
        """Certified: no schedule of the executed runs has a smaller total completion time."""
        return float(self.bounds_s.sum())

    @property
    def ratio_to_bound(self) -> float:
        """Total completion time of the executed runs over the bound; 1 cannot be beaten."""
        return float(self.completion_s[self.executed].sum()) / self.bound_s

    def only(self, rows: NDArray[np.bool_]) -> "Outcome":
        """What happened to some of the runs. What concerns the slots stays; the bound is of these runs alone.

        Alone they could only be faster, so that bound too is below what they took.
        """
        if rows.all():
            return self
        chosen, executed = self.stream.only(rows), self.executed[rows]
        return replace(
            self, stream=chosen, executed=executed, taken_s=self.taken_s[rows], started_s=self.started_s[rows],
            ended_s=self.ended_s[rows], bounds_s=_bounds_s(chosen, self.slots_by_device, self.taken_s[rows], executed),
        )  # fmt: skip


def simulate(stream: Stream, setting: Setting, seed: int) -> Outcome:
    """Runs the stream to its end. ``seed`` draws prediction errors and deaths, the same for every policy.

    Raises:
        InvalidInput: a run names a device class that has no slot.
    """
    if missing := set(stream.device) - set(setting.slots):
        raise InvalidInput(f"no slot has the device class {', '.join(sorted(missing))}")
    taken_s = stream.duration_s * (1 - setting.stop_early)
    executed = stream.duplicate_of < 0 if setting.reuse else np.ones(len(stream), np.bool_)
    cluster = _cluster(setting, taken_s)
    _arrivals(cluster, stream, _predicted_s(stream, setting, seed), executed)
    _deaths(cluster, stream, setting, seed)
    started_s, ended_s = _run(cluster, len(stream), int(executed.sum()))
    if setting.reuse:
        later = np.flatnonzero(~executed)
        ended_s[later] = np.maximum(ended_s[stream.duplicate_of[later]], stream.arrival_s[later])
    return Outcome(
        stream=stream, executed=executed, taken_s=taken_s, started_s=started_s, ended_s=ended_s,
        idle_while_waiting_s=cluster.idle_while_waiting_s, wasted_s=cluster.wasted_s,
        slots_by_device=setting.slots, bounds_s=_bounds_s(stream, setting.slots, taken_s, executed),
    )  # fmt: skip


def _predicted_s(stream: Stream, setting: Setting, seed: int) -> Floats:
    """What the stream says was predicted; else the truth with an error. Early stopping is foreseen by both."""
    errors = np.exp(setting.sigma * np.random.default_rng([seed, 11]).standard_normal(len(stream)))
    predicted_s: Floats = stream.duration_s * errors
    if stream.predicted_s is not None:
        predicted_s = np.where(np.isnan(stream.predicted_s), predicted_s, stream.predicted_s)
    return predicted_s * (1 - setting.stop_early)


def _cluster(setting: Setting, taken_s: Floats) -> Cluster:
    slots: dict[SlotKey, SlotState] = {}
    for device, count in setting.slots.items():
        for index in range(count):
            key = SlotKey(f"{device}-{index}", "0")
            slot = Slot(name="0", device=device, server_cores=(), client_cores=())
            slots[key] = SlotState(key=key, slot=slot)
    true_s = {str(run): float(seconds) for run, seconds in enumerate(taken_s)}
    return Cluster(policy=setting.policy, slots=slots, fits=_same_device, true_s=true_s)


def _same_device(needs: Needs, slot: SlotState) -> bool:
    return slot.slot is not None and needs == (Need(_DEVICE, slot.slot.device),)


def _arrivals(cluster: Cluster, stream: Stream, predicted_s: Floats, executed: NDArray[np.bool_]) -> None:
    for run in np.flatnonzero(executed).tolist():
        at_s = float(stream.arrival_s[run])
        queued = Queued(
            run_id=str(run), team=stream.team[run], predicted_s=float(predicted_s[run]), submitted_s=at_s, seq=run,
            needs=(Need(_DEVICE, stream.device[run]),),
        )  # fmt: skip
        cluster.arrive(queued, at_s)


def _deaths(cluster: Cluster, stream: Stream, setting: Setting, seed: int) -> None:
    """Poisson deaths of each follower until twice the time of the last arrival."""
    if not setting.deaths_per_day:
        return
    random = np.random.default_rng([seed, 12])
    horizon_s = max(2 * float(stream.arrival_s[-1]), _DAY_S)
    for key in cluster.slots:
        at_s = random.exponential(_DAY_S / setting.deaths_per_day)
        while at_s < horizon_s:
            cluster.die(key, at_s, at_s + setting.outage_s)
            at_s += setting.outage_s + random.exponential(_DAY_S / setting.deaths_per_day)


def _run(cluster: Cluster, n: int, due: int) -> tuple[Floats, Floats]:
    started_s, ended_s = np.full(n, np.nan), np.full(n, np.nan)
    while due:
        cluster.settle()
        ended: list[Ended] | None = cluster.advance()
        if ended is None:
            raise InvalidInput(f"{due} runs never ended: no slot is left for them")
        for one in ended:
            started_s[int(one.run_id)], ended_s[int(one.run_id)] = one.started_s, one.ended_s
        due -= len(ended)
    return started_s, ended_s


def _bounds_s(
    stream: Stream, slots_by_device: Mapping[str, int], taken_s: Floats, executed: NDArray[np.bool_]
) -> Floats:
    """Of each device class by itself: they do not compete."""
    devices, found = np.array(stream.device), np.zeros(len(stream))
    for device, slots in slots_by_device.items():
        rows = executed & (devices == device)
        found[rows] = flow_bounds_s(stream.arrival_s[rows], taken_s[rows], slots)
    return found
