"""Carries out injections. Each method does one kind of damage, undoes what is to be undone, and says if it could."""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Final, TypeVar

import redis
from celery import Celery  # type: ignore[import-untyped]  # the package has no types
from chaos.book import Book
from chaos.deck import Injection, choose
from chaos.occupancy import Stay
from chaos.program import Program
from chaos.proxy import Way
from chaos.remains import signal_marked
from chaos.stack import ChaosStack, Follower, wait_until
from chaos.user import User, job

from follower.agent.bell import TASK
from follower.agent.boot_clock import now_ns
from leader.broker.protocol import bell_queue
from leader.manage.policy import LeasePolicy
from shared.jobs.lifecycle import FIRST_BACKOFF

LONGEST_AWAY_S: Final = 3.0
"""Beyond the moment from which another follower may run what the one that is away was running."""
GRACE_S: Final = LeasePolicy().grace.total_seconds()
FOUND_WITHIN_S: Final = 4.0
READY_WITHIN_S: Final = 20.0
NEXT_WITHIN_S: Final = 8.0
LOOK_EVERY_S: Final = 0.02
LONGEST_DOWN_S: Final = 1.5
RINGS: Final = 100
FRESH_NS: Final = 400_000_000
"""A stay whose last sign of life is older has ended, or is frozen already."""


Found = TypeVar("Found")


@dataclass
class Damage:
    """What can be done to a stack. Whoever damages a program or a link has it for themselves meanwhile."""

    stack: ChaosStack
    book: Book
    user: User
    lease_s: float
    _links: dict[str, threading.Lock] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._links = {follower.name: threading.Lock() for follower in self.stack.followers}
        self._kinds: dict[str, Callable[[Injection], bool]] = {
            "kill-follower": self._kill_follower,
            "stop-follower": self._stop_follower,
            "freeze-follower-short": lambda card: self._freeze(self._follower(card).agent, self._short_s(card)),
            "freeze-follower-long": lambda card: self._freeze(self._follower(card).agent, self._long_s(card)),
            "kill-attempt": self._kill_attempt,
            "freeze-attempt-short": lambda card: self._freeze_attempt(card, self._short_s(card)),
            "freeze-attempt-long": lambda card: self._freeze_attempt(card, self._long_s(card)),
            "kill-leader": self._kill_leader,
            "freeze-leader-short": lambda card: self._freeze(self.stack.leader, self._short_s(card)),
            "freeze-leader-long": lambda card: self._freeze(self.stack.leader, self._long_s(card)),
            "flush-broker": lambda _: self.flush_broker(),
            "kill-broker": lambda card: self._restart(self.stack.broker, card.span),
            "kill-database": lambda card: self._restart(self.stack.database, card.span),
            "ring-100-times": self._ring,
            "cut-link": self._cut,
            "hold-link": lambda card: self._hold(card, "up", "down"),
            "hold-link-up": lambda card: self._hold(card, "up"),
            "hold-link-down": lambda card: self._hold(card, "down"),
            "delay-link": self._delay,
            "deliver-late": self._deliver_late,
            "cancel-queued": lambda card: self._cancel_in_state(card, "queued"),
            "cancel-claimed": lambda card: self._cancel_stay(card, "claimed", lambda stay: not _is_older(stay, 0.1)),
            "cancel-running": lambda card: self._cancel_stay(card, "running", lambda stay: _is_older(stay, 0.2)),
            "cancel-delivering": self._cancel_ended,
            "cancel-ended": self._cancel_too_late,
            "cancel-job": self._cancel_job,
            "submit-again": self._submit_again,
            "poison": self._poison,
        }

    def inflict(self, card: Injection) -> bool:
        """Do it; False where nothing was there to be damaged."""
        return self._kinds[card.kind](card)

    # ------------------------------------------------------------------------------------------------ programs

    def _kill_follower(self, card: Injection) -> bool:
        return self._restart(self._follower(card).agent, card.span)

    def _stop_follower(self, card: Injection) -> bool:
        program = self._follower(card).agent
        with program.guard:
            program.stop()
            program.start()
        return True

    def _kill_leader(self, card: Injection) -> bool:
        """Every second time it may be killed again before it is ready."""
        with self.stack.leader.guard:
            self._restart(self.stack.leader, card.span)
            if card.pick < 0.5:
                with suppress(TimeoutError):
                    wait_until(self.stack.leader_is_ready, "the leader is ready again", READY_WITHIN_S)
        return True

    def _restart(self, program: Program, span: float) -> bool:
        with program.guard:
            program.kill()
            time.sleep(span * LONGEST_DOWN_S)
            program.start()
        return True

    def _freeze(self, program: Program, span_s: float) -> bool:
        with program.guard:
            if program.pid is None:
                return False
            program.freeze(span_s)
        return True

    def flush_broker(self) -> bool:
        """FLUSHALL: every queue, and what Celery keeps of its bindings, is gone."""
        try:
            with redis.Redis.from_url(self.stack.broker_url, socket_timeout=2) as client:
                client.flushall()
        except redis.RedisError:
            return False
        return True

    def _ring(self, card: Injection) -> bool:
        """The same bell a hundred times, as fast as they can be sent."""
        app = Celery("chaos", broker=self.stack.broker_url, set_as_current=False)
        app.conf.update(task_ignore_result=True, broker_transport_options={"socket_timeout": 2, "max_retries": 0})
        try:
            for _ in range(RINGS):
                app.send_task(TASK, queue=bell_queue(self._follower(card).name), ignore_result=True, retry=False)
        except Exception:  # noqa: BLE001 - kombu raises whatever its transport does; the broker is away
            return False
        finally:
            app.close()
        return True

    # ------------------------------------------------------------------------------------------------ attempts

    def _kill_attempt(self, card: Injection) -> bool:
        stay = self._stay(card, lambda _: True)
        return stay is not None and signal_marked(stay.occupant.pid, self.stack.folder, signal.SIGKILL)

    def _freeze_attempt(self, card: Injection, span_s: float) -> bool:
        stay = self._stay(card, lambda _: True)
        if stay is None or not signal_marked(stay.occupant.pid, self.stack.folder, signal.SIGSTOP):
            return False
        time.sleep(span_s)
        signal_marked(stay.occupant.pid, self.stack.folder, signal.SIGCONT)
        return True

    def _stay(self, card: Injection, wanted: Callable[[Stay], bool]) -> Stay | None:
        """An attempt that is there now, of a run that is not poison: poison must have its own end."""

        def look() -> list[Stay]:
            now = now_ns()
            there = [
                stay for stay in self.stack.occupancy.refresh() if not stay.ended and now - stay.last_ns < FRESH_NS
            ]
            return [stay for stay in there if wanted(stay) and self._is_fair_game(stay.occupant.run_id)]

        return self._awaited(card, look)

    def _is_fair_game(self, run_id: str) -> bool:
        known = self.book.runs.get(run_id)
        return known is not None and known.is_live and known.deed != "poison"

    # ------------------------------------------------------------------------------------------------ links

    def _cut(self, card: Injection) -> bool:
        with self._link(card) as follower:
            follower.link.cut()
            time.sleep(self._away_s(card))
        return True

    def _hold(self, card: Injection, *ways: Way) -> bool:
        with self._link(card) as follower:
            follower.link.hold(*ways)
            time.sleep(self._away_s(card))
        return True

    def _delay(self, card: Injection) -> bool:
        with self._link(card) as follower:
            follower.link.delay(0.05 + 0.45 * card.span)
            time.sleep(self.lease_s)
        return True

    def _deliver_late(self, card: Injection) -> bool:
        """Cut an attempt off until the next one at its run is under way: what it then delivers is too late."""
        stay = self._stay(card, lambda stay: self.book.runs[stay.occupant.run_id].deed == "succeed")
        if stay is None:
            return False
        name = stay.occupant.device.partition("/")[0]
        follower = next(one for one in self.stack.followers if one.name == name)
        with self._link_of(follower), suppress(TimeoutError):
            follower.link.hold()
            within_s = self.lease_s + GRACE_S + FIRST_BACKOFF.total_seconds() + NEXT_WITHIN_S
            wait_until(lambda: self._has_successor(stay), "the next attempt is under way", within_s)
            return True
        return False

    def _has_successor(self, stay: Stay) -> bool:
        run_id, attempt = stay.occupant.run_id, stay.occupant.attempt
        return any(
            other.held_ns is not None and other.occupant.run_id == run_id and other.occupant.attempt > attempt
            for other in self.stack.occupancy.refresh()
        )

    def _link(self, card: Injection) -> AbstractContextManager[Follower]:
        return self._link_of(self._follower(card))

    @contextmanager
    def _link_of(self, follower: Follower) -> Iterator[Follower]:
        with self._links[follower.name]:
            try:
                yield follower
            finally:
                follower.link.heal()

    # ------------------------------------------------------------------------------------------------ the user

    def _cancel_in_state(self, card: Injection, state: str) -> bool:
        run = self._awaited(
            card, lambda: [run for run in self.book.live() if run.state == state and run.deed != "poison"]
        )
        return run is not None and self.user.cancel(run.run_id, state)

    def _cancel_stay(self, card: Injection, phase: str, wanted: Callable[[Stay], bool]) -> bool:
        stay = self._stay(card, wanted)
        return stay is not None and self.user.cancel(stay.occupant.run_id, phase)

    def _cancel_ended(self, card: Injection) -> bool:
        """An attempt that has written its outcome, which is on its way to the leader."""

        def look() -> list[Stay]:
            now = now_ns()
            stays = self.stack.occupancy.refresh()
            return [stay for stay in stays if stay.ended and now - stay.last_ns < FRESH_NS]

        stay = self._awaited(card, look)
        return stay is not None and self.user.cancel(stay.occupant.run_id, "delivering")

    def _cancel_too_late(self, card: Injection) -> bool:
        """A run that has ended stays as it is."""
        run = self._awaited(card, lambda: [run for run in self.book.snapshot() if not run.is_live])
        if run is not None and self.user.cancel(run.run_id, "ended") and run.state != "cancelled":
            self.book.broken.append(f"{run.run_id} was {run.state}, and a cancel was confirmed all the same")
        return run is not None

    def _cancel_job(self, card: Injection) -> bool:
        run = self._awaited(card, lambda: [run for run in self.book.live() if run.deed != "poison"])
        return run is not None and self.user.cancel_job(run.job_id, "whole job")

    def _submit_again(self, card: Injection) -> bool:
        """The same key and body make nothing new, and the same key with another body is refused."""
        key = self._awaited(card, lambda: sorted(self.book.jobs))
        if key is None:
            return False
        _, body = self.book.jobs[key]
        self.user.submit(body, key)
        self.user.submit_other_body(key, {**body, "name": "another"})
        return True

    def _poison(self, _card: Injection) -> bool:
        """A run that kills every follower that starts it."""
        self.user.submit(job([("poison", 30.0)]))
        return True

    # ------------------------------------------------------------------------------------------------ choosing

    def _follower(self, card: Injection) -> Follower:
        return self.stack.followers[choose(card.pick, len(self.stack.followers))]

    def _short_s(self, card: Injection) -> float:
        return (0.1 + 0.5 * card.span) * self.lease_s

    def _long_s(self, card: Injection) -> float:
        """Longer than a lease, and in the second half of cases so long that the leader has given the run away."""
        return 1.2 * self.lease_s + card.span * (GRACE_S + 2)

    def _away_s(self, card: Injection) -> float:
        """Up to a lease; or, every third time, so long that the run is another's when the result arrives."""
        if card.span < 2 / 3:
            return (0.1 + 1.35 * card.span) * self.lease_s
        return self.lease_s + GRACE_S + FIRST_BACKOFF.total_seconds() + 3 * LONGEST_AWAY_S * (card.span - 2 / 3)

    def _awaited(self, card: Injection, look: Callable[[], list[Found]]) -> Found | None:
        """One of what ``look`` finds; None where it finds nothing for a while."""
        deadline = time.monotonic() + FOUND_WITHIN_S
        while not (found := look()):
            if time.monotonic() > deadline:
                return None
            time.sleep(LOOK_EVERY_S)
        return found[choose(card.pick, len(found))]


def _is_older(stay: Stay, age_s: float) -> bool:
    return now_ns() - stay.begin_ns >= age_s * 1e9
