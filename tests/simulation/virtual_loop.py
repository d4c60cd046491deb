"""An event loop on virtual time, and programs on it that can be killed or held up as a whole.

Time stands still while anything can run and then jumps to the next timer, so hours pass in milliseconds; nothing here
waits, and nothing depends on the machine. What falls due at the same moment runs in the order in which it was asked
for, so a run is repeated exactly.
"""

import asyncio
import heapq
import itertools
import sys
from collections import deque
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator, Sequence
from contextlib import contextmanager
from contextvars import Context, ContextVar, copy_context
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar, TypeVarTuple

ResultT = TypeVar("ResultT")
Ts = TypeVarTuple("Ts")

_PROGRAM: ContextVar["Program | None"] = ContextVar("program", default=None)
_FIRST_PRUNING = 64
MOST_AT_ONCE = 100_000


class NothingLeftToHappen(RuntimeError):
    """Somebody waits, and nothing is scheduled that could end it."""


class TimeStandsStill(RuntimeError):
    """Something asks again and again to be woken at once."""


class _Callback(asyncio.TimerHandle):
    """asyncio's handle without what only a debugger needs: there are thousands in each virtual minute."""

    def __init__(  # lean on purpose: asyncio's own takes three times as long
        self, callback: Callable[..., object], args: Sequence[Any], context: Context | None, when: float = 0.0
    ) -> None:
        self._callback = callback
        self._args = args
        self._context = copy_context() if context is None else context
        self._cancelled = False
        self._when = when

    def cancel(self) -> None:
        self._cancelled = True
        self._args = ()


class VirtualLoop(asyncio.BaseEventLoop):
    """``time()`` is seconds since the loop was made. What a callback raises comes out of whoever runs the loop."""

    def __init__(self) -> None:
        super().__init__()
        self._now_s = 0.0
        self._due: deque[_Callback] = deque()
        self._timers: list[tuple[float, int, _Callback]] = []
        self._numbers = itertools.count()
        self._outside = Context()
        self._at_once = 0
        self._held_up: dict[Program, list[_Callback]] = {}
        self.complaints: list[dict[str, Any]] = []
        """What asyncio reported: exceptions of tasks that nobody asked for their result."""

    # ------------------------------------------------------------------------------------------ running

    def run_until_complete(self, future: Any) -> Any:
        """The result of ``future``, once it has one. Raises NothingLeftToHappen where it never will."""
        with self._running():
            task = asyncio.ensure_future(future, loop=self)
            while not task.done():
                if not self._turn(None):
                    raise NothingLeftToHappen(f"{task!r} waits for ever")
        return task.result()

    def run_until(self, at_s: float) -> None:
        """Do all that is due up to this time, and stand there."""
        with self._running():
            while self._turn(at_s):
                pass
        self._now_s = max(self._now_s, at_s)

    def _turn(self, until_s: float | None) -> bool:
        """One callback, the next that is due by then; False where there is none."""
        if not self._due and not self._wake(until_s):
            return False
        handle = self._due.popleft()
        if handle._cancelled:
            return True
        context = handle._context
        if self._held_up and (program := context.get(_PROGRAM)) in self._held_up and program is not None:
            self._held_up[program].append(handle)
            return True
        context.run(handle._callback, *handle._args)
        return True

    def _wake(self, until_s: float | None) -> bool:
        timers = self._timers
        while timers and timers[0][2]._cancelled:
            heapq.heappop(timers)
        if not timers or (until_s is not None and timers[0][0] > until_s):
            return False
        at_s, _, handle = heapq.heappop(timers)
        if at_s > self._now_s:
            self._now_s, self._at_once = at_s, 0
        else:
            self._at_once += 1
            if self._at_once > MOST_AT_ONCE:
                raise TimeStandsStill(f"{handle._callback!r} and others are due again and again at {self._now_s} s")
        self._due.append(handle)
        return True

    @contextmanager
    def _running(self) -> Generator[None]:
        hooks = sys.get_asyncgen_hooks()
        sys.set_asyncgen_hooks(firstiter=None, finalizer=self._close_generator)
        asyncio._set_running_loop(self)
        try:
            yield
        finally:
            asyncio._set_running_loop(None)
            sys.set_asyncgen_hooks(*hooks)

    def _close_generator(self, generator: AsyncGenerator[Any, Any]) -> None:
        self.call_soon(self.create_task, generator.aclose())

    def hold_up(self, program: "Program") -> None:
        """Run nothing of it until it is let go."""
        self._held_up.setdefault(program, [])

    def let_go(self, program: "Program") -> None:
        """Run it again, with what came meanwhile first."""
        self._due.extend(self._held_up.pop(program, ()))

    # ---------------------------------------------------------------------------- what asyncio asks of a loop

    def time(self) -> float:
        return self._now_s

    def call_soon(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        handle = _Callback(callback, args, context)
        self._due.append(handle)
        return handle

    call_soon_threadsafe = call_soon  # there is but one thread

    def call_later(
        self, delay: float, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        return self.call_at(self._now_s + delay, callback, *args, context=context)

    def call_at(
        self, when: float, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        handle = _Callback(callback, args, context, when)
        self._push(when, handle)
        return handle

    def _push(self, when: float, handle: _Callback) -> None:
        heapq.heappush(self._timers, (when, next(self._numbers), handle))

    def later(self, seconds: float, callback: Callable[[*Ts], object], *args: *Ts) -> asyncio.TimerHandle:
        """As call_later, but of no program, whichever asked for it: a message on its way, a machine beside it."""
        handle = _Callback(callback, args, self._outside, self._now_s + seconds)
        self._push(handle.when(), handle)
        return handle

    def pause(self, seconds: float) -> "asyncio.Future[None]":
        """What asyncio.sleep does, for those who do it thousands of times."""
        future: asyncio.Future[None] = asyncio.Future(loop=self)
        self._push(self._now_s + seconds, _Callback(_finish, (future,), None))
        return future

    def create_future(self) -> "asyncio.Future[Any]":
        return asyncio.Future(loop=self)

    def create_task(
        self,
        coro: Generator[Any, None, ResultT] | Coroutine[Any, Any, ResultT],
        *,
        name: object = None,
        context: Context | None = None,
    ) -> "asyncio.Task[ResultT]":
        task = asyncio.Task(coro, loop=self, name=None if name is None else str(name), context=context)
        program = context.get(_PROGRAM) if context else _PROGRAM.get()
        if program is not None:
            program.adopt(task)
        return task

    def run_in_executor(self, executor: Any, func: Callable[[*Ts], ResultT], *args: *Ts) -> "asyncio.Future[ResultT]":
        """At once and in line: a thread's timing would differ from run to run."""
        del executor
        future = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:  # noqa: BLE001 - as an executor does
            future.set_exception(error)
        return future

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return asyncio._get_running_loop() is self

    def is_closed(self) -> bool:
        return False

    def __del__(self) -> None:
        """There is nothing to close."""

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        self.complaints.append(context)


def _finish(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)


class Program:
    """Tasks that live and die together, as a process does. A program that was killed does nothing any more."""

    def __init__(self, name: str, loop: VirtualLoop) -> None:
        self.name = name
        self.alive = True
        self.held_up_until_s = 0.0
        self._loop = loop
        self._tasks: list[asyncio.Task[Any]] = []
        self._prune_at = _FIRST_PRUNING
        self._context = copy_context()
        self._context.run(_PROGRAM.set, self)

    def spawn(self, work: Coroutine[Any, Any, ResultT]) -> "asyncio.Task[ResultT]":
        """Start a task of the program; all that it starts is the program's, too."""
        return self._loop.create_task(work, context=self._context.copy())

    def adopt(self, task: "asyncio.Task[Any]") -> None:
        """It ends with the program."""
        self._tasks.append(task)
        if len(self._tasks) > self._prune_at:
            self._tasks = [one for one in self._tasks if not one.done()]
            self._prune_at = max(_FIRST_PRUNING, 2 * len(self._tasks))

    def kill(self) -> None:
        """End it here and now. Cancelled tasks may still tidy up their own memory, and reach nothing outside."""
        self.alive = False
        self._loop.let_go(self)
        for task in self._tasks:
            task.cancel()

    @property
    def is_held_up(self) -> bool:
        return self._loop.time() < self.held_up_until_s

    def hold_up(self, seconds: float) -> None:
        """Its callbacks come that much later, as if the machine had not run it."""
        self.held_up_until_s = max(self.held_up_until_s, self._loop.time() + seconds)
        self._loop.hold_up(self)
        self._loop.later(seconds, self._go_on)

    def _go_on(self) -> None:
        if self._loop.time() >= self.held_up_until_s:
            self._loop.let_go(self)


class VirtualClock:
    """shared.clock.Clock of one machine: the monotonic one is the loop's, the wall clock can be set wrong."""

    def __init__(self, loop: VirtualLoop, start: datetime = datetime(2026, 3, 1, 12, tzinfo=UTC)) -> None:
        self._loop = loop
        self._start = start
        self.wrong_by = timedelta(0)

    def monotonic_ns(self) -> int:
        return round(self._loop.time() * 1e9)

    def utc_now(self) -> datetime:
        return self._start + timedelta(seconds=self._loop.time()) + self.wrong_by
