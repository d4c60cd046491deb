"""What every launcher must do, tried on every one with the same commands."""

import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.container_engine import contained
from support.serving import alive, eventually

from follower.serve.containers.images import MODEL_SERVER
from follower.serve.containers.leftovers import remove_below
from follower.serve.launch.exits import explain
from follower.serve.launch.log import tail
from follower.serve.launch.protocol import STOP_GRACE_S, Launched, Launcher, LaunchRequest
from follower.serve.launchers import LAUNCHERS
from shared.jobs.lifecycle import Cause

pytestmark = contained

CASES = ("process", "docker")
UP = "print('up', flush=True)\n"
WAIT = "import time\ntime.sleep(60)"

Launch = Callable[..., Launched]
"""Starts a line of Python; keyword arguments are the request's."""


@pytest.fixture(params=CASES)
def launcher(request: pytest.FixtureRequest) -> Launcher:
    """Each in turn."""
    if request.param == "docker":
        request.getfixturevalue("container_engine")
    return LAUNCHERS[request.param]


@pytest.fixture
def launch(launcher: Launcher, tmp_path: Path) -> Iterator[Launch]:
    """Starts Python with the launcher under test; the end of the test stops it."""
    started: list[Launched] = []

    def start(code: str, *arguments: str, **more: Any) -> Launched:
        defaults = {"cores": [], "threads": 1, "workdir": tmp_path / "work", "log_path": tmp_path / "log"}
        argv = [*python(launcher), "-c", code, *arguments]
        request = LaunchRequest(argv=argv, **{**defaults, **image_for(launcher), **more})
        started.append(launcher.start(request))
        return started[-1]

    yield start
    for launched in started:
        launched.stop()


def python(launcher: Launcher) -> list[str]:
    """The interpreter that there is."""
    return ["python3"] if launcher.name == "docker" else [sys.executable]


def image_for(launcher: Launcher) -> dict[str, Any]:
    """Where one is needed."""
    return {"image": MODEL_SERVER} if launcher.name == "docker" else {}


def output(launched: Launched) -> str:
    """What a command that ends by itself wrote."""
    assert eventually(lambda: launched.poll() is not None)
    return tail(launched.log_path)


def said(launched: Launched, word: str) -> bool:
    """Whether the command wrote a word before long."""
    return eventually(lambda: word in tail(launched.log_path))


def test_no_launcher_escapes_the_contract() -> None:
    """A row in the table needs a row in this suite."""
    assert set(LAUNCHERS) == set(CASES)


def test_a_launcher_that_works_here_says_so(launcher: Launcher) -> None:
    """Under the name that job files use."""
    assert launcher.is_available()
    assert LAUNCHERS[launcher.name] is launcher
    launcher.require(MODEL_SERVER)


def test_a_command_runs_on_its_cores_only(launch: Launch) -> None:
    """The affinity of the request is that of the command."""
    assert output(launch("import os; print(os.sched_getaffinity(0))", cores=[0])) == "{0}"


def test_a_command_sees_the_minimal_environment_and_nothing_of_its_parent(
    launch: Launch, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Secrets and settings of the follower stay there; the thread counts and the request's own are set."""
    monkeypatch.setenv("INFERBENCH_TOKEN", "secret")
    monkeypatch.setenv("HTTP_PROXY", "http://proxy.lab")
    code = "import json, os; print(json.dumps(dict(os.environ)))"
    environment = json.loads(output(launch(code, threads=3, environment={"MODEL": "x"})))
    assert not environment.keys() & {"INFERBENCH_TOKEN", "HTTP_PROXY", "http_proxy"}
    assert (environment["MODEL"], environment["OMP_NUM_THREADS"]) == ("x", "3")
    assert environment["HOME"] == str(tmp_path / "work")


def test_a_command_works_in_its_work_directory(launch: Launch, tmp_path: Path) -> None:
    """What it writes there is there for the follower to read, under the same path."""
    assert output(launch("import os; open('status', 'w').write('up'); print(os.getcwd())")) == str(tmp_path / "work")
    assert (tmp_path / "work/status").read_text() == "up"


def test_a_command_reads_what_it_was_given(launch: Launch, tmp_path: Path) -> None:
    """At the same path, also where nobody but its owner could read it."""
    model = tmp_path / "model"
    model.write_text("weights")
    model.chmod(0o600)
    assert output(launch("import sys; print(open(sys.argv[1]).read())", str(model), reads=[model])) == "weights"


def test_standard_output_and_error_go_to_the_log(launch: Launch) -> None:
    """Both; the log is whole once the end is known."""
    whole_lines = r"import sys; sys.stdout.write('out\n'); sys.stderr.write('err\n')"  # one write each: none is torn
    assert sorted(output(launch(whole_lines)).split()) == ["err", "out"]


def test_an_exit_status_is_reported(launch: Launch) -> None:
    """What the command exited with; no process is left to see."""
    launched = launch("raise SystemExit(7)")
    assert eventually(lambda: launched.poll() is not None)
    exit_ = launched.poll()
    assert exit_ is not None
    assert exit_.returncode == 7
    assert launched.pids() == ()


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGKILL])
def test_a_crash_is_told_apart_from_memory_that_ran_out(launch: Launch, number: signal.Signals) -> None:
    """A signal is named, and nobody speaks of memory."""
    launched = launch(f"import os; os.kill(os.getpid(), {number:d})")
    log = output(launched)
    exit_ = launched.poll()
    assert exit_ is not None
    failure = explain(exit_, log)
    assert failure.cause is Cause.SERVER_DIED
    assert number.name in failure.detail


def test_the_memory_limit_is_seen_as_out_of_memory(launch: Launch) -> None:
    """Whether the allocation fails or the kernel kills."""
    code = "blocks = []\nwhile True: blocks.append(b'x' * (16 << 20))"
    launched = launch(code, memory_bytes=256 << 20)
    log = output(launched)
    exit_ = launched.poll()
    assert exit_ is not None
    assert explain(exit_, log).cause is Cause.SERVER_OUT_OF_MEMORY


def test_stop_lets_a_command_end_by_itself(launch: Launch) -> None:
    """SIGTERM comes first, and its handler runs."""
    handler = "import signal, sys\nsignal.signal(signal.SIGTERM, lambda *_: (print('bye'), sys.exit(0)))\n"
    launched = launch(handler + UP + WAIT)
    assert said(launched, "up")
    launched.stop()
    assert tail(launched.log_path) == "up\nbye"


def test_stop_kills_what_does_not_listen(launch: Launch) -> None:
    """A command that ignores SIGTERM is gone after the grace."""
    launched = launch("import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + UP + WAIT)
    assert said(launched, "up")
    pids = launched.pids()
    assert pids
    began = time.monotonic()
    launched.stop()
    assert STOP_GRACE_S * 0.9 <= time.monotonic() - began < STOP_GRACE_S + 5
    assert alive(pids) == []
    assert launched.pids() == ()


def test_stop_twice_and_after_the_end_is_harmless(launch: Launch) -> None:
    """Whoever cleans up need not know who did so before; how it ended is still known."""
    launched = launch("pass")
    assert eventually(lambda: launched.poll() is not None)
    exit_ = launched.poll()
    launched.stop()
    launched.stop()
    assert launched.poll() == exit_


def test_stop_ends_the_whole_tree(launch: Launch) -> None:
    """Children go with their parent, even those that left its session."""
    child = "import subprocess\nsubprocess.Popen(['sleep', '60'], start_new_session=True)\n"
    launched = launch(child + UP + WAIT)
    assert said(launched, "up")
    pids = launched.pids()
    assert len(pids) >= 2
    launched.stop()
    assert eventually(lambda: alive(pids) == [])


def test_how_it_runs_can_be_written_into_a_record(launcher: Launcher, launch: Launch) -> None:
    """As JSON, under the launcher's name."""
    facts = dict(launch(WAIT).facts())
    assert json.loads(json.dumps(facts)) == facts
    assert facts["launcher"] == launcher.name


def test_a_port_that_it_opens_is_reached_at_its_address(launcher: Launcher, launch: Launch, tmp_path: Path) -> None:
    """Listening where the launcher says, asked where the launched command is."""
    serve = (
        "import socket, sys\nlistener = socket.create_server((sys.argv[1], 0))\n"
        "open('port.part', 'w').write(str(listener.getsockname()[1]))\n"
        "import os\nos.rename('port.part', 'port')\nlistener.accept()[0].sendall(b'hello')\n"
    )
    launched = launch(serve, launcher.listen_host)
    port = tmp_path / "work/port"
    assert eventually(port.exists)
    with socket.create_connection((launched.address, int(port.read_text())), timeout=5) as connection:
        assert connection.recv(5) == b"hello"


PARENT = """
import sys, time
from pathlib import Path
from follower.serve.launch.protocol import LaunchRequest
from follower.serve.launchers import LAUNCHERS
name, workdir, image, *argv = sys.argv[1:]
launched = LAUNCHERS[name].start(LaunchRequest(
    argv=argv, cores=[], threads=1, workdir=Path(workdir), log_path=Path(workdir).parent / "log", image=image))
while not Path(workdir, "up").exists():
    time.sleep(0.01)
print(*launched.pids(), flush=True)
time.sleep(60)
"""


def test_a_command_dies_with_the_process_that_launched_it(launcher: Launcher, tmp_path: Path) -> None:
    """SIGKILL leaves a launcher no time to clean up; the kernel or the engine does it."""
    command = [*python(launcher), "-c", "open('up', 'w')\n" + WAIT]
    arguments = [sys.executable, "-c", PARENT, launcher.name, str(tmp_path / "work"), MODEL_SERVER, *command]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        assert alive(pids) == pids != []
        parent.kill()
    assert eventually(lambda: alive(pids) == [])
    remove_below(tmp_path)
