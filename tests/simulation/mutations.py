"""Bugs that the protocol must not have, one by one, as patches of the product inside the process of a simulation.

Each is a mistake that somebody could make. The suite is worth something if it finds every one of them.
"""

import asyncio
import secrets
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Final
from unittest.mock import patch

from pymongo import IndexModel

from follower.agent import duties, events, reactions
from follower.agent.calls import Calls
from follower.agent.state import AgentState, Retry, Stage
from leader.manage import delivery, queue
from leader.manage.delivery import Delivery
from leader.manage.followers import Followers
from leader.manage.submit import Submissions
from leader.manage.vigil import Vigil
from leader.perfdb import documents, outlook, schema
from leader.perfdb.entities import Event, Evidence, HeldLease, Run, Spent
from leader.perfdb.mongo_evidence import MongoEvidence
from leader.perfdb.mongo_jobs import MongoJobs, MongoRuns
from leader.perfdb.mongo_scheduling import MongoSpent
from shared.errors import InferBenchError, Unavailable
from shared.jobs import lifecycle
from shared.jobs.lifecycle import Cause, RunStatus
from shared.wire.assignment import Result, ResultAnswer
from simulation.hosts import Host

Patch = AbstractContextManager[object]

FOR_EVER_NS: Final = 10**18
GRACE: Final = timedelta(seconds=3)
LATER_S: Final = 0.05
STATE, FENCE, LEASE = STANDING = ("status.state", "status.fence", "status.lease.expires_at_us")
PLAIN, CANCEL, GIVES_UP = ("plain",), ("cancel-delivering",), ("gives-up",)


@dataclass(frozen=True)
class Mutation:
    """One bug.

    ``stories``: where to look, should no seed come across it; first as they are told, then with a death or failure at
    each of their points that has ``at`` in its name.
    """

    name: str
    says: str
    made: Callable[[], Sequence[Patch]]
    stories: tuple[str, ...] = ()
    at: str = ""

    @contextmanager
    def applied(self) -> Generator[None]:
        """The product has the bug."""
        with ExitStack() as stack:
            for one in self.made():
                stack.enter_context(one)
            yield


def _swapped(owner: Any, name: str, value: object) -> Patch:
    made: Patch = patch.object(owner, name, value)
    return made


# ------------------------------------------------------------------------------------------------------ the leader


def _no_fence_on_renewals() -> Sequence[Patch]:
    return [_swapped(queue, "require_current", lambda *_: None)]


def _no_fence_on_results() -> Sequence[Patch]:
    return [_swapped(delivery, "holds", lambda run, *_: run.status.lease is not None)]


def _always_accepted() -> Sequence[Patch]:
    return [
        _swapped(delivery, "answer_given", lambda run, _: ResultAnswer(accepted=True, state=run.status.state.value))
    ]


def _read_back_is(answer: bool) -> Callable[[], Sequence[Patch]]:
    async def read_back(_store: MongoRuns, _run: Run, _signature: str) -> bool:
        return answer

    return lambda: [_swapped(MongoRuns, "_read_back", read_back)]


def _blind_retry() -> Sequence[Patch]:
    async def compare_and_set(store: MongoRuns, run: Run, moved: Run) -> bool:
        update = {"$set": {**documents.moving_part(moved), "moved_by": secrets.token_hex(8)}}
        try:
            with delivery_errors():
                return await store._matched(documents.standing(run), update)
        except Unavailable:
            with delivery_errors():
                return await store._matched({"_id": run.id}, update)

    return [_swapped(MongoRuns, "_compare_and_set", compare_and_set)]


def delivery_errors() -> Patch:
    """The border at which the driver's errors end."""
    from model_repo.gridfs import driver_errors  # noqa: PLC0415 - only here

    return driver_errors("moving a run")


def _early_answer() -> Sequence[Patch]:
    deliver = Delivery.deliver

    async def answered_first(self: Delivery, follower: str, run_id: str, result: Result) -> ResultAnswer:
        _behind_the_back(lambda: deliver(self, follower, run_id, result))
        return ResultAnswer(accepted=True, state="succeeded")

    return [_swapped(Delivery, "deliver", answered_first)]


def _late_evidence() -> Sequence[Patch]:
    keep = Delivery._keep

    async def kept_later(self: Delivery, follower: str, run_id: str, result: Result) -> None:
        _behind_the_back(lambda: keep(self, follower, run_id, result))

    return [_swapped(Delivery, "_keep", kept_later)]


def _behind_the_back(work: Callable[[], Any]) -> None:
    async def later() -> None:
        await asyncio.sleep(LATER_S)
        try:
            await work()
        except InferBenchError:
            return

    _LATER.append(asyncio.get_running_loop().create_task(later()))


_LATER: Final[list[asyncio.Task[None]]] = []


def _leases_by_wall_clock() -> Sequence[Patch]:
    def unchanged(vigil: Vigil, _longer_than: timedelta) -> list[HeldLease]:
        now = vigil._clock.utc_now()
        return [seen.lease for seen in vigil._seen.values() if seen.lease.expires_at + GRACE < now]

    return [_swapped(Vigil, "unchanged", unchanged)]


def _no_grace() -> Sequence[Patch]:
    unchanged = Vigil.unchanged
    return [_swapped(Vigil, "unchanged", lambda vigil, longer_than: unchanged(vigil, longer_than - GRACE))]


def _runs_stored_over() -> Sequence[Patch]:
    async def add_all(store: MongoRuns, runs: Sequence[Run]) -> None:
        for run in runs:
            with delivery_errors():
                await store._runs.replace_one({"_id": run.id}, documents.run_to_document(run), upsert=True)

    return [_swapped(MongoRuns, "add_all", add_all)]


def _standing_without(*fields: str) -> Callable[[], Sequence[Patch]]:
    standing = documents.standing

    def less(run: Run) -> documents.Document:
        return {name: value for name, value in standing(run).items() if name not in fields}

    return lambda: [_swapped(documents, "standing", less)]


def _no_slot_index() -> Sequence[Patch]:
    def kept(indexes: Sequence[IndexModel]) -> tuple[IndexModel, ...]:
        return tuple(index for index in indexes if index.document["name"] != "one_attempt_per_slot")

    less: Mapping[str, tuple[IndexModel, ...]] = {name: kept(indexes) for name, indexes in schema.INDEXES.items()}
    return [_swapped(schema, "INDEXES", less)]


def _same_fence_at_once() -> Sequence[Patch]:
    end_at_once = lifecycle._end_at_once

    def ended(status: RunStatus, *args: Any) -> RunStatus:
        return end_at_once(status, *args).model_copy(update={"fence": status.fence})

    return [_swapped(lifecycle, "_end_at_once", ended)]


def _same_fence_again() -> Sequence[Patch]:
    bounded = lifecycle._bounded

    def requeued(status: RunStatus, cause: Cause) -> RunStatus:
        return bounded(status.model_copy(update={"fence": status.fence - 1}), cause)

    return [_swapped(lifecycle, "_bounded", requeued)]


def _unbounded() -> Sequence[Patch]:
    return [_swapped(lifecycle, "_bounded", lambda status, _cause: status)]


def _never_found(store: type, name: str) -> Callable[[], Sequence[Patch]]:
    async def nothing(_store: object, *, limit: int) -> list[Any]:
        del limit
        return []

    return lambda: [_swapped(store, name, nothing)]


def _evidence_overwritten() -> Sequence[Patch]:
    async def add(store: MongoEvidence, evidence: Evidence) -> Evidence:
        document = documents.evidence_to_document(evidence)
        with delivery_errors():
            await store._attempts.replace_one({"_id": document["_id"]}, document, upsert=True)
        return evidence

    return [_swapped(MongoEvidence, "add", add)]


def _nothing_voided() -> Sequence[Patch]:
    async def void_older(*_: object) -> None:
        """Leave it to the reaper."""

    return [_swapped(Followers, "_void_older", void_older)]


def _key_ignored() -> Sequence[Patch]:
    submit = Submissions.submit

    async def anew(self: Submissions, spec: Any, *, owner: str, idempotency_key: str | None, body_sha256: str) -> Any:
        del idempotency_key
        return await submit(self, spec, owner=owner, idempotency_key=None, body_sha256=body_sha256)

    return [_swapped(Submissions, "submit", anew)]


def _progress_told_twice() -> Sequence[Patch]:
    to_document = documents.event_to_document

    def numbered_anew(event: Event) -> documents.Document:
        return {**to_document(event), "_id": secrets.token_hex(8)}

    return [_swapped(documents, "event_to_document", numbered_anew)]


def _usage_added_up() -> Sequence[Patch]:
    async def put(store: MongoSpent, spent: Spent) -> None:
        document = outlook.spent_to_document(spent)
        occupied_s = document.pop("occupied_s")
        with delivery_errors():
            added = {"$set": {k: v for k, v in document.items() if k != "_id"}, "$inc": {"occupied_s": occupied_s}}
            await store._spent.update_one({"_id": document["_id"]}, added, upsert=True)

    return [_swapped(MongoSpent, "put", put)]


# ---------------------------------------------------------------------------------------------------- the follower


def _no_self_stop() -> Sequence[Patch]:
    left = tuple(duty for duty in duties._DUTIES if duty is not duties._stop_in_time)
    return [_swapped(duties, "_DUTIES", left), _swapped(duties, "_stop_due_ns", lambda _held: None)]


def _kill_not_awaited() -> Sequence[Patch]:
    def kill(state: AgentState, _now_ns: int) -> duties.Settled:
        due: list[events.Instruction] = []
        for held in state.attempts.values():
            if held.stage is Stage.KILLING:
                after = Stage.DELIVERING if held.failure else Stage.DONE
                state = state.with_attempt(replace(held, stage=after))
                due.append(events.KillAttempt(held.key, held.kill_reason or "", held.failure))
        return state, due

    return [_swapped(duties, "_DUTIES", tuple(kill if duty is duties._kill else duty for duty in duties._DUTIES))]


def _only_the_bell() -> Sequence[Patch]:
    def next_poll(state: AgentState, now_ns: int, *, at_once: bool) -> tuple[AgentState, Retry]:
        return state, Retry(now_ns if at_once else now_ns + FOR_EVER_NS)

    return [_swapped(reactions, "_next_poll", next_poll)]


def _leases_by_own_wall_clock() -> Sequence[Patch]:
    def now_ns(host: Host) -> int:
        return round((host.around.loop.time() - host.lost_s + host.clock.wrong_by.total_seconds()) * 1e9)

    return [_swapped(Host, "now_ns", property(now_ns))]


def _leases_from_the_answer() -> Sequence[Patch]:
    """A call is made again when its answer is there; then the clock is read."""

    def calls(host: Host, client: Any, who: Any, _clock: Any) -> Calls:
        return Calls(client, who, lambda: host.now_ns, host.clock.utc_now)

    return [_swapped(Host, "calls", calls)]


def _leftovers_dropped() -> Sequence[Patch]:
    return [_reacting(events.Started, lambda _event, state, now_ns: replace(state, register=Retry(now_ns)))]


@contextmanager
def _reacting(to: type, reaction: Callable[..., AgentState]) -> Generator[None]:
    real = reactions.react.dispatch(to)
    reactions.react.register(to, reaction)
    try:
        yield
    finally:
        reactions.react.register(to, real)


MUTATIONS: Final = (
    # the leader: who may speak for a run
    Mutation("renewals-unfenced", "A lease is renewed for whoever asks.", _no_fence_on_renewals, ("paused",)),
    Mutation("results-unfenced", "Any attempt's result ends the run.", _no_fence_on_results, ("late-result",)),
    Mutation("late-accepted", "A result that comes late is answered as accepted.", _always_accepted, ("late-result",)),
    Mutation("cancel-same-fence", "A cancel or an expiry keeps the fence.", _same_fence_at_once, ("cancel-running",)),
    Mutation("requeue-same-fence", "A requeue keeps the fence.", _same_fence_again, ("restarted",)),
    Mutation("nothing-voided", "A new incarnation leaves the old one's leases.", _nothing_voided, ("restarted",)),
    # the leader: moves
    Mutation("read-back-denies", "A write of unknown outcome counts as lost.", _read_back_is(False), PLAIN, "claimed"),
    Mutation("read-back-affirms", "A write of unknown outcome counts as done.", _read_back_is(True), PLAIN, "claimed"),
    Mutation("blind-retry", "A write of unknown outcome is repeated without comparing.", _blind_retry, CANCEL, "runs."),
    Mutation("no-compare", "A run is moved whatever has become of it.", _standing_without(*STANDING), ("slow-claim",)),
    Mutation("fence-not-compared", "A move fits a later attempt, too.", _standing_without(FENCE), ("slow-claim",)),
    Mutation("lease-not-compared", "What was just renewed is taken back.", _standing_without(LEASE), ("slow-reaper",)),
    Mutation("no-slot-index", "Nothing keeps two runs from one slot.", _no_slot_index, ("slow-claim-twice",)),
    # the leader: leases and bounds
    Mutation(
        "leader-wall-clock", "The leader counts leases on its wall clock.", _leases_by_wall_clock, ("clock-step",)
    ),
    Mutation("no-grace", "A lease is taken back as soon as it ends.", _no_grace, ("slow-kill",)),
    Mutation("unbounded", "Infrastructure's failures are retried for ever.", _unbounded, ("poison",)),
    # the leader: what is stored, and in which order
    Mutation("early-answer", "A result is answered before its move is stored.", _early_answer, PLAIN),
    Mutation("late-evidence", "Evidence is stored behind the answer.", _late_evidence, PLAIN),
    Mutation(
        "evidence-overwritten", "A later delivery replaces the evidence.", _evidence_overwritten, PLAIN, "evidence"
    ),
    Mutation("key-ignored", "The same submit again is another job.", _key_ignored, PLAIN, "submitting"),
    Mutation("progress-twice", "Progress that is sent again is stored again.", _progress_told_twice, PLAIN, "progress"),
    Mutation("usage-added-up", "Usage that is noted again is added.", _usage_added_up, PLAIN, "spent."),
    # the leader: repairs
    Mutation(
        "runs-stored-over", "Completing a job writes its runs anew.", _runs_stored_over, PLAIN, "jobs.update_many"
    ),
    Mutation(
        "incomplete-forgotten",
        "Nobody completes a dead leader's job.",
        _never_found(MongoJobs, "incomplete"),
        GIVES_UP,
        "submitting",
    ),
    Mutation(
        "unrecorded-forgotten",
        "Nobody derives what a dead leader did not.",
        _never_found(MongoRuns, "unrecorded"),
        PLAIN,
        "records.",
    ),
    # the follower
    Mutation("no-self-stop", "An agent lets attempts outlive their leases.", _no_self_stop, ("cut-off",)),
    Mutation(
        "follower-wall-clock",
        "An agent counts leases on its wall clock.",
        _leases_by_own_wall_clock,
        ("host-clock-step",),
    ),
    Mutation(
        "lease-from-answer", "An agent counts a lease from the answer.", _leases_from_the_answer, ("slow-answer",)
    ),
    Mutation("kill-not-awaited", "A slot asks for work while its attempt dies.", _kill_not_awaited, ("cancel-run",)),
    Mutation("only-the-bell", "An agent asks for work only when the bell rings.", _only_the_bell, ("deaf",)),
    Mutation("leftovers-dropped", "A new agent leaves what it finds on its disk.", _leftovers_dropped, ("leftovers",)),
)
BY_NAME: Final = {mutation.name: mutation for mutation in MUTATIONS}
