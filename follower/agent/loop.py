"""Carries out what the state machine decides. One queue of events; calls to the leader run in threads that feed it.

Leases have threads of their own, so that no slow upload and no slow claim can keep a lease from being renewed.
Attempts are started from the thread that runs the loop, because the kernel ends them with it.
"""

import os
import queue
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import singledispatchmethod

import structlog

from follower.agent import events
from follower.agent.attempts import DEFAULT_COMMAND, Attempts
from follower.agent.bell import BellListener
from follower.agent.boot_clock import now_ns
from follower.agent.calls import Calls, Events
from follower.agent.duties import step
from follower.agent.events import Event
from follower.agent.lane import Lane
from follower.agent.leader import LeaderClient
from follower.agent.lock_file import Holder
from follower.agent.measuring import marked
from follower.agent.slot_locks import SlotLocks
from follower.agent.state import AgentState, SlotClock
from follower.agent.work_dir import WorkDir
from follower.attempt.order import AttemptOrder
from follower.inventory.devices import Device, devices_of
from follower.serve.containers.leftovers import remove_older
from follower.settings import FollowerSettings
from shared.wire.assignment import Assignment
from shared.wire.identity import Registration

log = structlog.get_logger()


class Agent:
    """One follower's agent. ``run`` returns when it is told to stop, or cannot go on."""

    def __init__(
        self,
        settings: FollowerSettings,
        registration: Registration,
        client: LeaderClient,
        *,
        attempt_command: Sequence[str] = DEFAULT_COMMAND,
        seed: int | None = None,
    ) -> None:
        self._settings = settings
        self._registration = registration
        self._calls = Calls(client, registration)
        self._events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._attempts = Attempts(self.post, attempt_command)
        self._work_dir = WorkDir(settings.work_dir)
        self._locks = SlotLocks(settings.slot_lock_dir)
        self._leases = Lane("leases", self._broken, threads=max(1, len(registration.slots)))
        self._control = Lane("control", self._broken)  # register, heartbeat, claim
        self._uploads = Lane("uploads", self._broken)  # progress and results, in order
        self._slots = {slot.name: slot for slot in registration.slots}
        self._state = AgentState(
            slots={name: SlotClock() for name in self._slots}, dice=now_ns() if seed is None else seed
        )
        self._bell: BellListener | None = None
        self._wake_at_ns = 0
        self._exit: events.Exit | None = None

    def post(self, event: Event) -> None:
        """Tell the agent something; from any thread, and from a signal handler."""
        self._events.put(event)

    def stop(self) -> None:
        """Ask the agent to stop; asked twice it does so at once."""
        self.post(events.StopRequested())

    def run(self) -> str | None:
        """Work until told to stop; why it stopped, where that was not wished for.

        Raises:
            Conflict: another agent works in the same directory, or on the same devices.
            InvalidInput: the directory of the slots' locks cannot be trusted.
            OSError: a directory cannot be used.
        """
        self._work_dir.take()
        try:
            self._work_dir.clear()
            self._remove_containers()
            self._locks.take(self._devices(*self._slots), self._holder())
            self._calls = replace(self._calls, registration=self._at_home())
            self.post(events.Started(self._work_dir.undelivered()))
            while self._exit is None:
                self._turn()
            return self._exit.error
        finally:
            self._attempts.kill_all()
            self._locks.release()
            self._work_dir.release()

    def _remove_containers(self) -> None:
        own = self._registration
        if removed := remove_older(own.name, own.incarnation, self._work_dir.attempts):
            log.warning("leftover-containers-removed", count=removed)

    def _devices(self, *slots: str) -> tuple[Device, ...]:
        gpus = self._registration.inventory.gpus
        return tuple(device for name in slots for device in devices_of(self._slots[name], gpus))

    def _holder(self) -> Holder:
        return Holder(
            pid=os.getpid(),
            follower=self._registration.name,
            work_dir=str(self._work_dir.root),
            incarnation=self._registration.incarnation,
        )

    def _at_home(self) -> Registration:
        return self._registration.model_copy(update={"home": self._work_dir.home()})

    def _turn(self) -> None:
        """One event in, its instructions out."""
        event = self._next_event()
        if isinstance(event, events.Registered):
            self._listen(event)
        self._state, instructions = step(self._state, event, now_ns())
        for instruction in instructions:
            self._carry_out(instruction)

    def _next_event(self) -> Event:
        wait_s = max(0.0, (self._wake_at_ns - now_ns()) / 1e9)
        try:
            return self._events.get(timeout=wait_s)
        except queue.Empty:
            return events.Tick()

    def _listen(self, event: events.Registered) -> None:
        answer = event.answer
        log.info("registered", follower=answer.follower, lease_s=answer.lease_s, bell=answer.broker_url is not None)
        if answer.broker_url is not None and self._bell is None:
            self._bell = BellListener(answer.broker_url, answer.bell_queue, lambda: self.post(events.Bell()))
            self._bell.start()

    def _in(self, lane: Lane, call: Callable[[], Events]) -> None:
        def feed() -> None:
            for event in call():
                self.post(event)

        lane.submit(feed)

    def _broken(self, lane: str) -> None:
        self.post(events.ShutOut(f"a fault in this program stopped its {lane} calls; its log has the traceback"))

    @singledispatchmethod
    def _carry_out(self, instruction: object) -> None:
        raise TypeError(f"not an instruction: {instruction!r}")

    @_carry_out.register
    def _register(self, _instruction: events.Register) -> None:
        self._in(self._control, self._calls.register)

    @_carry_out.register
    def _heartbeat(self, instruction: events.SendHeartbeat) -> None:
        self._in(self._control, lambda: self._calls.heartbeat(instruction))

    @_carry_out.register
    def _ask(self, instruction: events.AskForWork) -> None:
        self._in(self._control, lambda: self._calls.claim(instruction))

    @_carry_out.register
    def _renew(self, instruction: events.RenewLease) -> None:
        held = self._state.attempts[instruction.key]
        lease_s = held.assignment.lease_s if held.assignment else 0.0
        self._in(self._leases, lambda: self._calls.renew(instruction, lease_s))

    @_carry_out.register
    def _tell(self, instruction: events.ForwardProgress) -> None:
        self._in(self._uploads, lambda: self._calls.progress(instruction))

    @_carry_out.register
    def _deliver(self, instruction: events.DeliverResult) -> None:
        directory = self._work_dir.attempt(instruction.key)
        self._in(self._uploads, lambda: self._calls.deliver(instruction, directory))

    @_carry_out.register
    def _start(self, instruction: events.StartAttempt) -> None:
        directory = self._work_dir.attempt(instruction.key)
        order = self._order(instruction.slot, instruction.assignment)
        devices = self._devices(instruction.slot)
        with marked(self._settings.slot_lock_dir, devices, self._holder()) as marks:
            self._attempts.start(instruction.key, directory, order, (*self._locks.inherited(devices), *marks))

    @_carry_out.register
    def _kill(self, instruction: events.KillAttempt) -> None:
        log.warning("attempt-killed", attempt=str(instruction.key), reason=instruction.reason)
        self._attempts.kill(instruction.key, self._work_dir.attempt(instruction.key), instruction.failure)

    @_carry_out.register
    def _forget(self, instruction: events.Forget) -> None:
        self._work_dir.forget(instruction.key)

    @_carry_out.register
    def _wait_until(self, instruction: events.WaitUntil) -> None:
        self._wake_at_ns = instruction.at_ns

    @_carry_out.register
    def _leave(self, instruction: events.Exit) -> None:
        self._exit = instruction

    def _order(self, slot: str, assignment: Assignment) -> AttemptOrder:
        settings = self._settings
        return AttemptOrder(
            follower=self._registration.name,
            incarnation=self._registration.incarnation,
            slot=self._slots[slot],
            inventory=self._registration.inventory,
            assignment=assignment,
            leader_url=settings.leader_url,
            token_file=settings.token_file,
            cache_dir=self._work_dir.cache,
            max_cache_bytes=settings.max_cache_bytes,
            preflight=settings.preflight,
            max_busy_share=settings.max_busy_share,
            invalid_busy_share=settings.invalid_busy_share,
            images=settings.images,
            endpoint_hosts=settings.endpoint_hosts,
            endpoint_ca_file=settings.endpoint_ca_file,
            endpoint_secrets_file=settings.endpoint_secrets,
        )
