"""Laws of the protocol itself, which hold at every moment and not only for what comes of it.

The inspector checks what users were promised. These are the means: each of them could be broken for a long time before
a promise is, so they are looked at directly.
"""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from leader.perfdb import schema
from shared.jobs.lifecycle import TERMINAL, Cause, RunState
from shared.wire.assignment import ResultAnswer
from shared.wire.identity import RegistrationAnswer
from simulation.attempts import AttemptProcess
from simulation.documents import Document
from simulation.network import Outcome

if TYPE_CHECKING:
    from simulation.world import World

HEARS_WITHIN_S: Final = 10.0
"""A renewal is due at least every 5 s, may wait 5 s for its answer, and brings the news; a cancel's bound, too."""
_QUEUED: Final = RunState.QUEUED.value
_ENDED: Final = frozenset(state.value for state in TERMINAL)
_LEASED: Final = frozenset({RunState.CLAIMED.value, RunState.RUNNING.value})
_AT_ONCE: Final = frozenset({Cause.CANCELLED_BY_USER.value, Cause.DEADLINE_PASSED.value})


class Laws:
    """Watches a world: its store, its devices and its answers."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self._superseded_s: dict[tuple[str, int], float] = {}
        self._renewed_s: dict[str, float] = {}
        self._claimed_s: dict[str, float] = {}
        self._incarnated_s: dict[str, float] = {}
        self._alive: list[AttemptProcess] = []
        world.shared.store.watchers.append(self._changed)
        for host in world.hosts:
            host.around.witness = self
        self.listen()

    def listen(self) -> None:
        """To the world's network, which may be another one than it was."""
        self._world.network.heard = self._heard

    def _broken(self, law: str, what: str) -> None:
        self._world.inspector.broken(law, what)

    def _runs(self) -> Mapping[Any, Document]:
        return self._world.shared.store.table(schema.RUNS).documents

    def _history(self, run_id: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self._runs()[run_id]["history"])
        return found

    # ------------------------------------------------------------------------------------------------ moves

    def _changed(self, name: str, before: Document | None, after: Document | None) -> None:
        now_s = self._world.loop.time()
        if name == schema.FOLLOWERS and after is not None:
            if before is None or before["incarnation"] != after["incarnation"]:
                self._incarnated_s[after["_id"]] = now_s
        elif name == schema.RUNS and before is not None and after is not None and before["status"] != after["status"]:
            self._moved(before, after, now_s)

    def _moved(self, before: Document, after: Document, now_s: float) -> None:
        old, new = before["status"], after["status"]
        if new["state"] in _LEASED and new["lease"] is not None and old["lease"] is None:
            self._claimed_s[after["_id"]] = now_s
            self._one_lease_per_slot(after)
        if old["fence"] == new["fence"] and new["cause"] in _AT_ONCE:
            self._broken("fences", f"run {after['_id']} became {new['state']} under the old fence")
        if old["state"] in _LEASED and (new["state"] == _QUEUED or new["state"] in _ENDED):
            self._superseded_s[after["_id"], old["attempt"]] = now_s
            if new["cause"] == Cause.LEASE_EXPIRED.value:
                self._was_over(after["_id"])
                self._nobody_runs_it(after["_id"], old["attempt"])
        if new["lease"] is not None and new["lease"] != old["lease"]:
            self._renewed_s[after["_id"]] = now_s

    def _was_over(self, run_id: str) -> None:
        """A lease stands as long as was said, and the grace, by no clock that can be set."""
        policy = self._world.shared.policy
        stood_s = self._world.loop.time() - self._renewed_s[run_id]
        if stood_s < (policy.lease + policy.grace).total_seconds():
            self._broken("I3", f"the lease of run {run_id} was taken back {stood_s:.1f} s after it was renewed")

    def _one_lease_per_slot(self, after: Document) -> None:
        lease = after["status"]["lease"]
        place = lease["follower"], lease["slot"]
        others = [run for run in self._runs().values() if run["status"]["lease"] and run["_id"] != after["_id"]]
        for run in others:
            other = run["status"]["lease"]
            if (other["follower"], other["slot"]) == place:
                self._broken("I3", f"slot {place} got {after['_id']} beside {run['_id']}")

    def _nobody_runs_it(self, run_id: str, attempt: int) -> None:
        """A lease that is taken back was over for its holder, too, whose machine does not stand still."""
        inspector = self._world.inspector
        for process in self._alive:
            is_its = (process.key.run_id, process.key.attempt) == (run_id, attempt)
            if is_its and not inspector.was_held_up(process.host, process.started_s):
                self._broken("I3", f"the lease of {process} was taken back while it ran")

    # ---------------------------------------------------------------------------------------------- devices

    def attempt_started(self, process: AttemptProcess) -> None:
        """Only what was given is started."""
        self._alive.append(process)
        key = process.key
        if not any(
            event["kind"] == "claimed" and (event["data"]["attempt"], event["fence"]) == (key.attempt, key.fence)
            for event in self._history(key.run_id)
        ):
            self._broken("I2", f"{process} was started and never given")
        self._world.inspector.attempt_started(process)

    def attempt_ended(self, process: AttemptProcess) -> None:
        """An attempt that lost its right to go on hears of it."""
        self._alive.remove(process)
        since_s = self._superseded_s.get((process.key.run_id, process.key.attempt))
        if since_s is not None:
            inspector = self._world.inspector
            late_s = self._world.loop.time() - max(since_s, inspector.disturbed_s[process.host]) - HEARS_WITHIN_S
            if late_s > 0:
                self._broken("I3", f"{process} ended {late_s:.1f} s later than it should have heard that it was over")
        self._world.inspector.attempt_ended(process)

    # ---------------------------------------------------------------------------------------------- answers

    def _heard(self, caller: str, name: str, outcome: Outcome) -> None:
        if isinstance(outcome, ResultAnswer) and outcome.accepted:
            run_id, _, attempt = name.removeprefix("result ").rpartition(".")
            self._kept(run_id, int(attempt))
        elif isinstance(outcome, RegistrationAnswer):
            self._voided(caller)

    def _kept(self, run_id: str, attempt: int) -> None:
        if not any(event["data"].get("delivered") == attempt for event in self._history(run_id)):
            self._broken("I1", f"attempt {attempt} of run {run_id} was answered accepted, and its end is not stored")

    def _voided(self, follower: str) -> None:
        """Whoever registered has no lease of an older life, but of a claim that was under way meanwhile."""
        known = self._world.shared.store.table(schema.FOLLOWERS).documents[follower]
        for run in self._runs().values():
            lease = run["status"]["lease"]
            is_older = lease and lease["follower"] == follower and lease["incarnation"] != known["incarnation"]
            if is_older and self._claimed_s[run["_id"]] < self._incarnated_s[follower]:
                self._broken(
                    "I9",
                    f"{follower} registered as {known['incarnation']}, and {run['_id']} is still leased"
                    f" to {lease['incarnation']}",
                )
