"""The cause of a server's end, from its exit and its log's tail."""

import signal

import pytest

from follower.serve.launch.exits import explain
from follower.serve.launch.protocol import Exit
from shared.jobs.lifecycle import Cause


@pytest.mark.parametrize(
    ("returncode", "oom_kills", "log", "cause"),
    [
        (65, 0, "opset 99 is unknown", Cause.MODEL_LOAD_FAILED),
        (71, 0, "no memory for it", Cause.SERVER_OUT_OF_MEMORY),
        (-signal.SIGKILL, 1, "", Cause.SERVER_OUT_OF_MEMORY),
        (128 + signal.SIGKILL, 1, "", Cause.SERVER_OUT_OF_MEMORY),
        (-signal.SIGKILL, 0, "", Cause.SERVER_DIED),
        (-signal.SIGABRT, 0, "terminate called after throwing 'std::bad_alloc'", Cause.SERVER_OUT_OF_MEMORY),
        (1, 0, "Traceback ...\nMemoryError", Cause.SERVER_OUT_OF_MEMORY),
        (1, 0, "libx.so: failed to map segment: Cannot allocate memory", Cause.SERVER_OUT_OF_MEMORY),
        (1, 0, "import x\nSystemError: error return without exception set", Cause.SERVER_OUT_OF_MEMORY),
        (1, 0, "SystemError: <function f> returned NULL without setting an exception", Cause.SERVER_OUT_OF_MEMORY),
        (1, 0, "SystemError: initialization of x failed", Cause.SERVER_DIED),
        (1, 0, "ImportError: libx.so: failed to map segment from shared object", Cause.SERVER_OUT_OF_MEMORY),
        (1, 0, "libx.so: failed to map segment from shared object: Operation not permitted", Cause.SERVER_DIED),
        (1, 0, "OpenBLAS error: Memory allocation still failed after 10 retries", Cause.SERVER_OUT_OF_MEMORY),
        (1, 0, "CUDA error: out of memory", Cause.SERVER_OUT_OF_MEMORY),
        (-signal.SIGSEGV, 0, "", Cause.SERVER_DIED),
        (-signal.SIGSEGV, 3, "", Cause.SERVER_DIED),
        (1, 0, "Traceback ...\nKeyError: 'x'", Cause.SERVER_DIED),
        (0, 0, "told to stop after a MemoryError", Cause.SERVER_DIED),
    ],
)
def test_an_exit_means_one_cause(returncode: int, oom_kills: int, log: str, cause: Cause) -> None:
    """Exit codes that say why, signals, the kernel's count of kills and the log lead to one cause."""
    assert explain(Exit(returncode=returncode, oom_kills=oom_kills), log).cause is cause


def test_a_kill_that_followed_an_old_allocation_failure_is_not_blamed_on_memory() -> None:
    """SIGKILL without a kill by the kernel came from someone else, whatever the log says."""
    assert explain(Exit(returncode=-9), "std::bad_alloc").cause is Cause.SERVER_DIED


@pytest.mark.parametrize(
    ("returncode", "words"),
    [
        (-signal.SIGSEGV, "was killed by SIGSEGV"),
        (128 + signal.SIGTERM, "was killed by SIGTERM"),
        (3, "exited with status 3"),
        (255, "was killed by signal 127"),
    ],
)
def test_the_detail_names_the_signal_or_the_status(returncode: int, words: str) -> None:
    """A person reads SIGSEGV, not -11."""
    assert words in explain(Exit(returncode=returncode), "").detail


def test_a_server_that_knows_the_reason_is_quoted() -> None:
    """The last line of the log is the detail, and the tail is kept."""
    failure = explain(Exit(returncode=65), "warming up\nthe model has no outputs\n\n")
    assert failure.detail == "the model has no outputs"
    assert failure.log_tail.startswith("warming up")


def test_a_server_that_knows_the_reason_but_says_nothing_still_gets_a_detail() -> None:
    """An empty log leaves the status."""
    assert "status 65" in explain(Exit(returncode=65), "").detail
