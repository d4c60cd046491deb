"""``python -m follower.attempt DIRECTORY``: one attempt in a process of its own, started by the agent.

It finds assignment.json in the directory, tells its story on standard output, logs on standard error and leaves
outcome.json. The agent ties it to itself and pins it to the client's cores; its own children die with it.
"""

import errno
import signal
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from follower.attempt.budget import wall_cap_ns
from follower.attempt.execute import execute
from follower.attempt.order import EXIT_DISK_FULL, AttemptDir, AttemptOrder
from follower.attempt.story import Story
from shared.clock import SystemClock
from shared.errors import AttemptFailed
from shared.jobs.lifecycle import Cause
from shared.wire.assignment import Failure, Success


def main(root: str) -> int:
    """Run the attempt in ``root``; 0 once its outcome is written, whatever it is."""
    directory = AttemptDir(Path(root))
    story = Story(_write_line, SystemClock())
    outcome = attempt(directory, story)
    try:
        write_outcome(directory, outcome)
    except OSError as error:
        traceback.print_exc()
        return EXIT_DISK_FULL if error.errno == errno.ENOSPC else 1
    story.tell("done", "succeeded" if isinstance(outcome, Success) else f"failed: {outcome.cause}")
    return 0


def attempt(directory: AttemptDir, story: Story) -> Success | Failure:
    """The outcome, always: a failure of any kind becomes its cause and one line; the log has the rest."""
    try:
        order = directory.read_order()
        with wall_cap(order):
            return Success(record=execute(order, directory, story, SystemClock()))
    except AttemptFailed as error:
        traceback.print_exc()
        return Failure(cause=error.cause, detail=error.detail, log_tail=error.log_tail)
    except Exception as error:  # noqa: BLE001 - the last line of defence: a fault of ours is a cause too
        traceback.print_exc()
        full = isinstance(error, OSError) and error.errno == errno.ENOSPC
        cause = Cause.DISK_FULL if full else Cause.FOLLOWER_ERROR
        return Failure(cause=cause, detail=f"{type(error).__name__}: {error}".splitlines()[0][:500])


@contextmanager
def wall_cap(order: AttemptOrder) -> Iterator[None]:
    """Raise TIMED_OUT in the block, wherever it waits, once the attempt has taken far longer than predicted."""
    cap_s = wall_cap_ns(order.assignment) / 1e9

    def give_up(_signal: int, _frame: object) -> None:
        raise AttemptFailed(Cause.TIMED_OUT, f"the attempt took longer than its cap of {cap_s:.0f} s")

    signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, cap_s)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def write_outcome(directory: AttemptDir, outcome: Success | Failure) -> None:
    """The file appears whole or not at all.

    Raises:
        OSError: it cannot be written.
    """
    partial = directory.outcome.with_suffix(".partial")
    partial.write_text(outcome.model_dump_json())
    partial.replace(directory.outcome)


def _write_line(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
