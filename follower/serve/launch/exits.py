"""Why did it end? From the exit and the log's tail to a cause, without asking the machine."""

import re
import signal
from typing import Final

from follower.serve.launch.exit_codes import MODEL_LOAD_FAILED, OUT_OF_MEMORY
from follower.serve.launch.protocol import Exit
from shared.errors import AttemptFailed
from shared.jobs.lifecycle import Cause

_SHELL_SIGNAL_BASE: Final = 128  # shells and container engines report signal n as status 128 + n

_ALLOCATION_FAILED: Final = re.compile(
    r"std::bad_alloc|\bMemoryError\b|cannot allocate memory|failed to allocate memory|out of memory"
    r"|memory allocation still failed|SystemError: .*without (?:setting an exception|exception set)"
    r"|failed to map segment from shared object(?!: operation not permitted)",
    re.IGNORECASE,
)
"""libstdc++, Python, the C library's ENOMEM, ONNX Runtime's arena, CUDA and PyTorch, OpenBLAS, CPython
where it forgets why it failed (its reader of compiled code, its import), the dynamic linker."""


def explain(exit_: Exit, log_tail: str) -> AttemptFailed:
    """The failure that the end of a server means, with the log's tail.

    Out of memory is concluded from: the exit code that says so; SIGKILL while the kernel killed something for
    memory; any other failure whose log ends with a failed allocation. A model is known to be at fault only by the
    exit code that says so. Everything else is a server that died.
    """
    signal_number = _signal_of(exit_.returncode)
    how = _describe(exit_.returncode, signal_number)
    if exit_.returncode == MODEL_LOAD_FAILED:
        return AttemptFailed(Cause.MODEL_LOAD_FAILED, _last_line(log_tail) or how, log_tail=log_tail)
    if exit_.returncode == OUT_OF_MEMORY:
        return AttemptFailed(Cause.SERVER_OUT_OF_MEMORY, _last_line(log_tail) or how, log_tail=log_tail)
    if signal_number == signal.SIGKILL and exit_.oom_kills > 0:
        detail = "the kernel killed the server because memory ran out"
        return AttemptFailed(Cause.SERVER_OUT_OF_MEMORY, detail, log_tail=log_tail)
    if exit_.returncode != 0 and signal_number != signal.SIGKILL and allocation_failed(log_tail):
        detail = f"the server {how} after an allocation failed"
        return AttemptFailed(Cause.SERVER_OUT_OF_MEMORY, detail, log_tail=log_tail)
    return AttemptFailed(Cause.SERVER_DIED, f"the server {how}", log_tail=log_tail)


def allocation_failed(text: str) -> bool:
    """Whether somebody's words for a failed allocation stand in it."""
    return _ALLOCATION_FAILED.search(text) is not None


def _signal_of(returncode: int) -> int | None:
    if returncode < 0:
        return -returncode
    return returncode - _SHELL_SIGNAL_BASE if returncode > _SHELL_SIGNAL_BASE else None


def _describe(returncode: int, signal_number: int | None) -> str:
    if signal_number is None:
        return f"exited with status {returncode}"
    known = signal_number in signal.valid_signals()
    return f"was killed by {signal.Signals(signal_number).name if known else f'signal {signal_number}'}"


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ""
