"""What is shown while a job runs: lines for logs, a bar beneath them for people. Always on standard error."""

import sys
from types import TracebackType
from typing import Final, Protocol, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from cli.output import say
from cli.quantities import printable
from cli.reused import origin_text
from shared.wire.views import EventView, JobView

ALMOST: Final = 0.99  # a bar that is drawn from a prediction never claims to be done

REPEAT_AFTER_S: Final = 5.0
REDRAWS_PER_S: Final = 1.0  # the host that measures may be this one: drawing must cost it nothing


class Reporter(Protocol):
    """Told what happens; shows it."""

    def line(self, text: str) -> None:
        """Something that happened."""
        ...

    def at(self, phase: str, done: float) -> None:
        """Where things stand; ``done`` is a share of one."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...


class PlainReporter:
    """Lines only: for pipes and the logs of a build."""

    def line(self, text: str) -> None:
        say(text)

    def at(self, phase: str, done: float) -> None:
        """Lines have told it already."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        pass


class LiveReporter:
    """Lines with a bar beneath them, which goes when the job has ended."""

    def __init__(self) -> None:
        self._progress = Progress(
            TextColumn("{task.description:<18}"),
            BarColumn(),
            TimeElapsedColumn(),
            console=Console(stderr=True, highlight=False),
            transient=True,
            refresh_per_second=REDRAWS_PER_S,
        )
        self._task = self._progress.add_task("waiting", total=1.0)

    def line(self, text: str) -> None:
        self._progress.console.print(text, markup=False, soft_wrap=True)

    def at(self, phase: str, done: float) -> None:
        self._progress.update(self._task, description=printable(phase), completed=min(done, ALMOST))

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._progress.stop()


def reporter() -> Reporter:
    """The one that suits standard error."""
    return LiveReporter() if sys.stderr.isatty() else PlainReporter()


def event_line(event: EventView, first: EventView) -> str:
    """``+  3.2 s  measuring         20 req/s for 10 s``: seconds since the run was queued, what, in words."""
    elapsed_s = (event.at - first.at).total_seconds()
    return printable(f"+{elapsed_s:6.1f} s  {event.kind:<16}  {event.message}").rstrip()


def is_news(event: EventView, told: EventView) -> bool:
    """Whether an event deserves a line: another kind than the last one told, or the same a good while later."""
    return event.kind != told.kind or (event.at - told.at).total_seconds() >= REPEAT_AFTER_S


def changes(before: JobView | None, now: JobView) -> list[str]:
    """One line for each run that has moved between two looks at a job."""
    known = {run.id: run.state for run in before.runs} if before else {}
    return [
        printable(
            f"{run.id}  {run.state}"
            + (f" on {run.follower}" if run.follower else "")
            + (f": {run.cause}: {run.detail}" if run.cause else "")
            + (f": {origin_text(run.reused_from)}" if run.reused_from else "")
        )
        for run in now.runs
        if known.get(run.id) != run.state
    ]
