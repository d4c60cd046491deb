"""Which run a slot gets: the policy's choice from the line-up, then won by compare-and-set in PerfDB."""

from typing import Final

from leader.manage.ledger import Ledger
from leader.manage.lineup import SMALL, Lineup
from leader.manage.moves import Move, Mover
from leader.manage.policy import LeasePolicy
from leader.manage.roster import Roster
from leader.manage.scheduling import Scheduling
from leader.manage.views import is_alive
from leader.perfdb.entities import Follower, Run
from leader.perfdb.protocol import RunStore
from shared.clock import Clock
from shared.jobs import lifecycle
from shared.jobs.keys import asked_key, is_reusable, place_key, point_key
from shared.jobs.lifecycle import Lease, RunState
from shared.jobs.spec import RunSpec
from shared.scheduling.backlog import SlotKey
from shared.scheduling.binding import bind
from shared.scheduling.decide import next_for
from shared.scheduling.snapshot import Snapshot
from shared.wire.identity import Registration, Slot

TRIES: Final = 200
"""Runs that one claim tries to win; each that it loses was won by another."""


class Dispatcher:
    """Chooses and wins."""

    def __init__(
        self,
        *,
        runs: RunStore,
        mover: Mover,
        lineup: Lineup,
        ledger: Ledger,
        roster: Roster,
        scheduling: Scheduling,
        clock: Clock,
        policy: LeasePolicy,
    ) -> None:
        self._runs = runs
        self._mover = mover
        self._lineup = lineup
        self._ledger = ledger
        self._roster = roster
        self._scheduling = scheduling
        self._clock = clock
        self._policy = policy

    async def next_run(self, follower: Follower, slot: Slot) -> Run | None:
        """The run that this slot gets, claimed for it; None where there is nothing for it.

        Raises:
            Conflict: the slot runs another attempt already.
            Unavailable.
        """
        if follower.cordoned:
            return None
        await self._scheduling.refresh()
        await self._lineup.look()
        looked = False
        for _ in range(TRIES):
            run_id = await self._choice(follower, slot)
            if run_id is not None:
                won = await self._win(run_id, follower, slot)
                if won is not None:
                    return won
            elif looked or len(self._lineup.backlog) > SMALL:
                return None
            else:  # another leader may have accepted something just now
                looked = True
                await self._lineup.look_now()
        return None

    async def bind_waiting(self) -> None:
        """Bind the waiting runs that have no slot yet, if the policy binds early. Raises Unavailable.

        A claim does so too. But while every slot is busy nobody claims, and a run is to be bound when it comes.
        """
        await self._scheduling.refresh()
        if self._scheduling.policy.binds_early:
            await self._lineup.look()
            await self._lineup.bind(bind(await self.snapshot(), self._scheduling.policy))

    async def snapshot(self, besides: Follower | None = None) -> Snapshot:
        """Queue and live followers as they stand; ``besides``: a follower that is alive, as was just read."""
        now = self._clock.utc_now()
        lease = self._policy.lease
        alive = {f.registration.name: f for f in await self._roster.recent() if is_alive(f, now, lease)}
        if besides is not None:
            alive[besides.registration.name] = besides
        return Snapshot(
            now_s=now.timestamp(),
            backlog=self._lineup.backlog,
            slots=self._lineup.slots([alive[name] for name in sorted(alive)]),
            use=self._ledger.use(self._scheduling.policy.half_life_s),
            quotas=self._scheduling.quotas,
            fits=self._lineup.fits,
            bound_so_far=self._lineup.bound_so_far,
        )

    async def _choice(self, follower: Follower, slot: Slot) -> str | None:
        snapshot = await self.snapshot(follower)
        key = SlotKey(follower.registration.name, slot.name)
        decision = next_for(snapshot, key, self._scheduling.policy)
        if decision.bindings:
            await self._lineup.bind(decision.bindings)
        chosen = next((placement.run_id for placement in decision.placements), None)
        return chosen if chosen in self._lineup.backlog else None

    async def _win(self, run_id: str, follower: Follower, slot: Slot) -> Run | None:
        entry = self._lineup.take(run_id)
        try:
            run = await self._runs.get(run_id)
            is_as_ranked = run.status.state is RunState.QUEUED and run.status.fence == entry[1]
            won = await self._claim(run, follower, slot) if is_as_ranked else None
            if won is None:
                self._lineup.moved(await self._runs.get(run_id))
        except BaseException:
            self._lineup.put_back(entry)
            raise
        return won

    async def _claim(self, run: Run, follower: Follower, slot: Slot) -> Run | None:
        registration, now = follower.registration, self._clock.utc_now()
        lease = Lease(
            follower=registration.name,
            incarnation=registration.incarnation,
            slot=slot.name,
            expires_at=now + self._policy.lease,
        )
        told = {
            "follower": registration.name,
            "incarnation": registration.incarnation,
            "slot": slot.name,
            "hardware": hardware_of(follower, slot),
            "point_key": point_of_claim(run, registration, slot),
        }
        return await self._mover.try_once(run, Move(lifecycle.claim(run.status, lease, now), told))


def point_of_claim(run: Run, registration: Registration, slot: Slot) -> str | None:
    """The point key of the run on this slot; None where nothing may reuse what it measures."""
    spec = RunSpec.model_validate(run.spec)
    if not is_reusable(spec):
        return None
    return point_key(asked_key(run.comparability_key, spec), place_key(registration, slot, spec.service))


def hardware_of(follower: Follower, slot: Slot) -> str:
    """What a leaderboard calls the hardware: the slot's GPUs, or the CPU with the cores that serve."""
    inventory = follower.registration.inventory
    gpus = [gpu.name for gpu in inventory.gpus if gpu.index in slot.gpus]
    return ", ".join(gpus) if gpus else f"{inventory.cpu_model} ({len(slot.server_cores)} of {inventory.logical_cores})"
