"""The process launcher, on real processes."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest
from support.serving import alive, eventually

from follower.serve.launch.exits import explain
from follower.serve.launch.log import tail
from follower.serve.launch.process import LaunchedProcess, ProcessLauncher, kernel_oom_kills
from follower.serve.launch.protocol import STOP_GRACE_S, LaunchRequest
from shared.jobs.lifecycle import Cause

STARTED: list[LaunchedProcess] = []


@pytest.fixture(autouse=True)
def _stop_all() -> Iterator[None]:
    yield
    while STARTED:
        STARTED.pop().stop()


def launch(workdir: Path, *argv: str, **more: Any) -> LaunchedProcess:
    """Starts a command that the test's end stops."""
    defaults = {"cores": [], "threads": 1, "workdir": workdir, "log_path": workdir / "log"}
    launched = ProcessLauncher().start(LaunchRequest(argv=argv, **{**defaults, **more}))
    STARTED.append(launched)
    return launched


def launch_python(workdir: Path, code: str, **more: Any) -> LaunchedProcess:
    """Starts a line of Python."""
    return launch(workdir, sys.executable, "-c", code, **more)


def output(launched: LaunchedProcess) -> str:
    """What a command that ends by itself wrote."""
    assert eventually(lambda: launched.poll() is not None)
    return tail(launched.log_path)


def said(launched: LaunchedProcess, word: str) -> bool:
    """Whether the command wrote a word before long."""
    return eventually(lambda: word in tail(launched.log_path))


def test_a_command_runs_on_its_cores_only(tmp_path: Path) -> None:
    """The affinity of the request is that of the command."""
    core = max(os.sched_getaffinity(0))
    code = "import os; print(os.sched_getaffinity(0))"
    assert output(launch_python(tmp_path, code, cores=[core])) == str({core})


def test_a_command_sees_the_minimal_environment_and_nothing_of_its_parent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Secrets and settings of the follower stay there; the thread counts and the request's own are set."""
    monkeypatch.setenv("INFERBENCH_TOKEN", "secret")
    code = "import json, os; print(json.dumps(dict(os.environ)))"
    environment = json.loads(output(launch_python(tmp_path, code, threads=3, environment={"MODEL": "x"})))
    assert environment.keys() == {
        *("PATH", "LANG", "HOME", "TMPDIR", "PYTHONUNBUFFERED", "MODEL"),
        *("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS"),
    }
    assert environment["OMP_NUM_THREADS"] == "3"
    assert environment["HOME"] == str(tmp_path)


def test_a_command_leads_its_own_session_in_its_work_directory(tmp_path: Path) -> None:
    """A terminal's Ctrl-C does not reach it, and what it drops lies in the work directory."""
    launched = launch_python(tmp_path, "import os; print(os.getsid(0) == os.getpid(), os.getcwd())")
    assert output(launched) == f"True {tmp_path}"


def test_standard_output_and_error_go_to_the_log(tmp_path: Path) -> None:
    """Both, in order."""
    launched = launch_python(tmp_path, "import sys; print('out'); print('err', file=sys.stderr)")
    assert output(launched) == "out\nerr"


def test_an_exit_status_is_reported(tmp_path: Path) -> None:
    """What the command exited with."""
    launched = launch_python(tmp_path, "raise SystemExit(7)")
    assert eventually(lambda: launched.poll() is not None)
    exit_ = launched.poll()
    assert exit_ is not None
    assert exit_.returncode == 7
    assert launched.pids() == ()


def test_a_signal_is_reported_as_its_negative(tmp_path: Path) -> None:
    """As subprocess does."""
    launched = launch_python(tmp_path, "import os; os.kill(os.getpid(), 11)")
    assert eventually(lambda: launched.poll() is not None)
    exit_ = launched.poll()
    assert exit_ is not None
    assert exit_.returncode == -signal.SIGSEGV


def test_a_command_that_is_not_there_ends_with_a_reason_in_the_log(tmp_path: Path) -> None:
    """Nothing is raised at start, but the log names the command."""
    launched = launch(tmp_path, "/no/such/server")
    assert "cannot execute /no/such/server" in output(launched)


def test_cores_that_do_not_exist_end_the_command_with_a_reason(tmp_path: Path) -> None:
    """It never runs unpinned by mistake."""
    launched = launch_python(tmp_path, "print('ran')", cores=[4095])
    assert "cannot prepare" in output(launched)
    assert "ran" not in tail(launched.log_path)


def test_the_memory_limit_is_seen_as_out_of_memory(tmp_path: Path) -> None:
    """An allocation beyond the limit fails, and the exit is explained as such."""
    launched = launch_python(tmp_path, "bytearray(1 << 40)", memory_bytes=1 << 30)
    log = output(launched)
    exit_ = launched.poll()
    assert exit_ is not None
    assert explain(exit_, log).cause is Cause.SERVER_OUT_OF_MEMORY


def test_stop_lets_a_command_end_by_itself(tmp_path: Path) -> None:
    """SIGTERM comes first, and its handler runs."""
    code = (
        "import signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: (print('bye'), sys.exit(0)))\n"
        "print('up')\ntime.sleep(60)"
    )
    launched = launch_python(tmp_path, code)
    assert said(launched, "up")
    launched.stop()
    assert tail(launched.log_path) == "up\nbye"


@pytest.mark.parametrize("stubborn", ["signal.signal(signal.SIGTERM, signal.SIG_IGN)", "os.kill(os.getpid(), 19)"])
def test_stop_kills_what_does_not_listen(tmp_path: Path, stubborn: str) -> None:
    """A command that ignores SIGTERM, or is stopped, is gone after the grace."""
    launched = launch_python(tmp_path, f"import os, signal, time\nprint('up')\n{stubborn}\nprint('on')\ntime.sleep(60)")
    assert said(launched, "up")
    time.sleep(0.2)
    pids = launched.pids()
    began = time.monotonic()
    launched.stop()
    assert STOP_GRACE_S <= time.monotonic() - began < STOP_GRACE_S + 5
    assert alive(pids) == []


def test_stop_twice_and_after_the_end_is_harmless(tmp_path: Path) -> None:
    """Whoever cleans up need not know who did so before."""
    launched = launch_python(tmp_path, "pass")
    assert eventually(lambda: launched.poll() is not None)
    launched.stop()
    launched.stop()


SPAWN_CHILD = "import subprocess, time\nsubprocess.Popen(['sleep', '60'], start_new_session={session})\n"


@pytest.mark.parametrize("own_session", [False, True])
def test_stop_ends_the_whole_tree(tmp_path: Path, own_session: bool) -> None:
    """Children go with their parent, even those that left its session."""
    launched = launch_python(tmp_path, SPAWN_CHILD.format(session=own_session) + "print('up')\ntime.sleep(60)")
    assert said(launched, "up")
    pids = launched.pids()
    assert len(pids) == 2
    launched.stop()
    assert eventually(lambda: alive(pids) == [])


def test_children_do_not_outlive_a_command_that_dies_by_itself(tmp_path: Path) -> None:
    """Its group is killed when its end is noticed."""
    launched = launch_python(tmp_path, SPAWN_CHILD.format(session=False) + "print('up')\ntime.sleep(60)")
    assert said(launched, "up")
    pids = launched.pids()
    os.kill(pids[0], signal.SIGKILL)
    assert eventually(lambda: launched.poll() is not None)
    assert eventually(lambda: alive(pids) == [])


PARENT = """
import sys, time
from pathlib import Path
from follower.serve.launch.process import ProcessLauncher
from follower.serve.launch.protocol import LaunchRequest
workdir = Path(sys.argv[1])
launched = ProcessLauncher().start(
    LaunchRequest(argv=["sleep", "60"], cores=[], threads=1, workdir=workdir, log_path=workdir / "log"))
while not (pids := launched.pids()) or "sleep" not in Path(f"/proc/{pids[0]}/cmdline").read_text():
    time.sleep(0.01)
print(pids[0], flush=True)
time.sleep(60)
"""


def test_a_command_dies_with_the_process_that_launched_it(tmp_path: Path) -> None:
    """SIGKILL leaves a launcher no time to clean up; the kernel does it."""
    with subprocess.Popen([sys.executable, "-c", PARENT, str(tmp_path)], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert alive([child]) == [child]
        parent.kill()
    assert eventually(lambda: alive([child]) == [])


def test_the_kernels_count_of_kills_is_read(tmp_path: Path) -> None:
    """One line of /proc/vmstat; a kernel that does not count has killed none that is known of."""
    (tmp_path / "vmstat").write_text("nr_free_pages 5\noom_kill_disable 9\noom_kill 3\n")
    assert kernel_oom_kills(tmp_path / "vmstat") == 3
    assert kernel_oom_kills(tmp_path / "absent") == 0


def test_the_parents_pids_are_never_in_the_tree(tmp_path: Path) -> None:
    """Collectors must not count the follower as the server."""
    launched = launch_python(tmp_path, "import time; time.sleep(60)")
    family: Sequence[int] = launched.pids()
    assert os.getpid() not in family
    assert psutil.Process(family[0]).ppid() == os.getpid()
