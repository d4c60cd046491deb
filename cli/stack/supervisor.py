"""Starts the stack, watches it, stops it. What the stack is, the plan says; when to give up, too.

Signals are not handled but waited for: the ones that stop us, and SIGCHLD, are blocked while the stack lives, and the
main thread sleeps until one arrives. So nothing runs, and nothing polls, beside a measurement.
"""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Final

from cli.errors import ChildDied, ChildNotReady
from cli.stack.child import Child, before_exec
from cli.stack.files import StackFile, locked, write_private, write_stack_file
from cli.stack.plan import ChildPlan, StackPlan
from cli.stack.readiness import is_ready

STOP_SIGNALS: Final = frozenset({signal.SIGINT, signal.SIGTERM, signal.SIGHUP})
_WAITED_FOR: Final = STOP_SIGNALS | {signal.SIGCHLD}
_PROBE_EVERY_S: Final = 0.05
_VISITOR_STOPS_WITHIN_S: Final = 15.0


class Stopped(Exception):
    """Somebody asked the stack to stop."""

    def __init__(self, signum: int) -> None:
        self.signum = signal.Signals(signum)
        super().__init__(f"stopped by {self.signum.name}")


class Stack:
    """The running stack, as those see it who use it from inside the supervisor."""

    def __init__(self, plan: StackPlan, say: Callable[[str], None]) -> None:
        self.plan = plan
        self._say = say
        self._children: list[Child] = []

    def start(self) -> None:
        """Starts the children in order, each after the one before is ready.

        Raises:
            ChildNotReady: one ended, or was not ready in time.
            Stopped: a signal asked for the end.
        """
        for plan in self.plan.children:
            self._start(plan)

    def _start(self, plan: ChildPlan) -> None:
        started = time.monotonic()
        try:
            child = Child(plan, self.plan.data.log_of(plan.name), _WAITED_FOR)
        except OSError as error:
            raise ChildNotReady(f"{plan.name} cannot be started: {error}") from error
        self._children.append(child)
        while not is_ready(plan.ready):
            if child.ending is not None:
                raise ChildNotReady(_story(child, f"ended with {child.ending} before it was ready"))
            if time.monotonic() - started > plan.ready_within_s:
                raise ChildNotReady(_story(child, f"was not ready within {plan.ready_within_s:.0f} s"))
            _raise_if_stop(signal.sigtimedwait(_WAITED_FOR, _PROBE_EVERY_S))
        self._say(f"{plan.name} ready after {time.monotonic() - started:.1f} s")

    def stop(self) -> None:
        """Stops the children in reverse order."""
        while self._children:
            self._children.pop().stop()

    def pids(self) -> dict[str, int]:
        """Name of each child -> pid."""
        return {child.plan.name: child.pid for child in self._children}

    def wait(self) -> None:
        """Sleeps for as long as all is well.

        Raises:
            ChildDied: a child ended by itself.
            Stopped: a signal asked for the end.
        """
        while True:
            self._raise_if_child_died()
            _raise_if_stop(signal.sigwaitinfo(_WAITED_FOR))

    def visit(self, argv: Sequence[str], environment: Mapping[str, str]) -> int:
        """Runs a program in the foreground, as a user would beside the stack; its exit code.

        Raises:
            ChildDied: a child ended meanwhile; the visitor is ended, too.
            Stopped: a signal asked for the end; the visitor had the time to obey.
        """
        visitor = subprocess.Popen(
            argv,
            env=dict(environment),
            preexec_fn=before_exec(os.getpid(), _WAITED_FOR),  # noqa: PLW1509 - no threads here, and prctl needs it
        )
        try:
            while visitor.poll() is None:
                self._raise_if_child_died()
                _raise_if_stop(signal.sigwaitinfo(_WAITED_FOR))
        except ChildDied:
            visitor.kill()
            raise
        except Stopped as stopped:
            _see_off(visitor, stopped)
            raise
        finally:
            visitor.wait()
        return visitor.returncode

    def _raise_if_child_died(self) -> None:
        for child in self._children:
            if child.ending is not None:
                raise ChildDied(_story(child, f"ended by itself with {child.ending}"))


@contextmanager
def running(plan: StackPlan, say: Callable[[str], None]) -> Iterator[Stack]:
    """A stack that is ready; stopped, and its files removed, when the block ends. Main thread only.

    Raises:
        AlreadyRunning: another stack holds the data folder.
        ChildNotReady: a child did not get ready.
        Stopped: a signal arrived before all were ready.
        OSError: the data folder cannot be used.
    """
    plan.data.make()
    with locked(plan.data), _signals_waited_for():
        _leave_nothing_stale(plan)
        stack = Stack(plan, say)
        try:
            stack.start()
            write_stack_file(plan.data.stack_file, _described(plan, stack))
            yield stack
        finally:
            plan.data.stack_file.unlink(missing_ok=True)
            stack.stop()


def _leave_nothing_stale(plan: StackPlan) -> None:
    """A SIGKILLed stack left its files: a pid file would even keep the database from starting."""
    plan.data.stack_file.unlink(missing_ok=True)
    plan.data.database_pid.unlink(missing_ok=True)
    shutil.rmtree(plan.data.temporary)
    plan.data.temporary.mkdir(mode=0o700)
    write_private(plan.data.broker_config, plan.broker_config)


def _described(plan: StackPlan, stack: Stack) -> StackFile:
    return StackFile(
        url=plan.url,
        pid=os.getpid(),
        admin_token_file=str(plan.data.admin_token),
        follower_token_file=str(plan.data.follower_token),
        children=stack.pids(),
    )


@contextmanager
def _signals_waited_for() -> Iterator[None]:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _WAITED_FOR)
    try:
        yield
    finally:
        while signal.sigtimedwait(_WAITED_FOR, 0):  # a second Ctrl-C while we stopped changes nothing any more
            pass
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _raise_if_stop(received: signal.struct_siginfo | None) -> None:
    if received is not None and received.si_signo in STOP_SIGNALS:
        raise Stopped(received.si_signo)


def _see_off(visitor: subprocess.Popen[bytes], stopped: Stopped) -> None:
    """A terminal's Ctrl-C has reached the visitor as well; any other signal is passed on."""
    if stopped.signum is not signal.SIGINT:
        visitor.terminate()
    with suppress(subprocess.TimeoutExpired):
        visitor.wait(_VISITOR_STOPS_WITHIN_S)
        return
    visitor.kill()


def _story(child: Child, what: str) -> str:
    return f"{child.plan.name} {what}; the end of {child.log}:\n{child.log_tail()}"
