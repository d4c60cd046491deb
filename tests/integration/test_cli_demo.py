"""``inferbench demo`` and ``up`` with all parts real: a benchmark from start to finish, and nothing left behind."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

INFERBENCH = str(Path(sys.executable).parent / "inferbench")
PATIENCE_S = 60.0
JOB = """\
apiVersion: inferbench/v1
kind: Job
name: tiny
model: {{generate: {{family: fc, layers: 1, width: 32}}}}
workload: {{pattern: constant, rate: 50, warmup: 200ms, duration: {duration}}}
slo: {{p50_ms: {p50_ms}}}
"""


def job_file(folder: Path, *, duration: str = "1s", p50_ms: float = 5000) -> Path:
    """A small job of a generated model."""
    path = folder / "job.yaml"
    path.write_text(JOB.format(duration=duration, p50_ms=p50_ms))
    return path


def wait_until(condition: Callable[[], bool]) -> None:
    """Polls until ``condition`` holds."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def is_gone(process: psutil.Process) -> bool:
    """Ended, whether or not somebody has reaped it yet."""
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def left_of(data_dir: Path) -> list[psutil.Process]:
    """Processes that were started for this data folder, wherever they are now in the tree of processes."""
    found = []
    for process in psutil.process_iter():
        try:
            if not is_gone(process) and str(data_dir) in " ".join([*process.cmdline(), *process.environ().values()]):
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


@pytest.mark.parametrize(("p50_ms", "slo"), [(5000, "MET"), (0.001, "NOT MET")])
def test_the_demo_shows_a_verdict_and_a_leaderboard_and_cleans_up(tmp_path: Path, p50_ms: float, slo: str) -> None:
    """Exit code 0 also where the SLO is unmet: that is a result; no process and no file but the data folder stay."""
    path, data_dir = job_file(tmp_path, p50_ms=p50_ms), tmp_path / "data"
    ran = subprocess.run(
        [INFERBENCH, "demo", "--data-dir", str(data_dir), "--file", str(path)],
        cwd=tmp_path, capture_output=True, text=True, check=False, timeout=PATIENCE_S,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert f"SLO         {slo}: p50_ms" in ran.stdout
    disturbed = "verdict     INVALID: interference" in ran.stdout  # by whatever else runs on the test machine
    assert ("nothing to rank" if disturbed else "ranked by p50_ms") in ran.stdout
    assert "$ inferbench run" in ran.stderr
    assert left_of(data_dir) == []
    assert {entry.name for entry in tmp_path.iterdir()} == {"job.yaml", "data"}
    assert not (data_dir / "stack.json").exists()


@contextmanager
def started(words: list[str], folder: Path) -> Iterator[subprocess.Popen[str]]:
    """A command in a session of its own, as in a terminal of its own; killed where the test fails."""
    process = subprocess.Popen(
        [INFERBENCH, *words], cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def read_until(process: subprocess.Popen[str], word: str) -> None:
    """Reads what the command says until a line has ``word``."""
    assert process.stderr is not None
    said = []
    for line in process.stderr:
        said.append(line)
        if word in line:
            return
    raise AssertionError("".join(said))


def test_ctrl_c_in_the_demo_stops_everything(tmp_path: Path) -> None:
    """The terminal's Ctrl-C reaches the whole foreground group: the job is cancelled, then the stack stops."""
    data_dir = tmp_path / "data"
    words = ["demo", "--data-dir", str(data_dir), "--file", str(job_file(tmp_path, duration="60s"))]
    with started(words, tmp_path) as demo:
        read_until(demo, "measuring")
        os.killpg(demo.pid, signal.SIGINT)
        _, rest = demo.communicate(timeout=PATIENCE_S)
    assert demo.returncode == 130, rest
    assert "is cancelled" in rest
    wait_until(lambda: left_of(data_dir) == [])


def test_a_killed_stack_leaves_no_process_even_in_mid_run(tmp_path: Path) -> None:
    """SIGKILL of the supervisor ends follower, attempt, server and sender, too; the next start is unharmed."""
    data_dir = tmp_path / ".inferbench"
    with started(["up", "--port", "0"], tmp_path) as up:
        read_until(up, "follower ready")
        wait_until((data_dir / "stack.json").exists)
        with started(["run", str(job_file(tmp_path, duration="60s"))], tmp_path) as run:
            read_until(run, "measuring")
            assert len(left_of(data_dir)) > 5
            up.kill()
            wait_until(lambda: left_of(data_dir) == [])
    with started(["up", "--port", "0"], tmp_path) as again:
        read_until(again, "follower ready")
        again.terminate()
        _, rest = again.communicate(timeout=PATIENCE_S)
        assert again.returncode == 0, rest
    assert left_of(data_dir) == []
