"""What a served model can do from inside its container, and what becomes of it: on a real engine."""

import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest
from support.assignments import assignment, run_spec
from support.attempt_process import attempt_process
from support.container_engine import contained
from support.containers import await_file, contained_python, containers_in, labels_of, output
from support.fake_leader import TOKEN, fake_leader
from support.scripted_agent import agent_in_thread, wait_until_gone
from support.serving import alive, eventually

from follower.agent.reap import carriers_of
from follower.collect.cgroup import GroupCollector, server_collector
from follower.serve.containers import network
from follower.serve.containers.confinement import user_for
from follower.serve.containers.images import MODEL_SERVER
from follower.serve.containers.leftovers import FOLLOWER_LABEL, remove_below, remove_older
from follower.serve.launch.container import DockerLauncher
from follower.serve.launch.exits import explain
from follower.serve.launch.log import tail
from model_repo.packaged.installed import load
from shared.errors import AttemptFailed, InvalidInput, NotAvailable
from shared.jobs.lifecycle import Cause
from shared.wire.assignment import ModelPin

pytestmark = [contained, pytest.mark.usefixtures("container_engine")]

LOSER = """
import sys, time
from pathlib import Path
from support.containers import await_file, labels_of
from follower.serve.launch.container import DockerLauncher
from follower.serve.launch.protocol import LaunchRequest
workdir = Path(sys.argv[1])
command = ["python3", "-c", "open('up', 'w').write('up')\\nimport time\\ntime.sleep(60)"]
launched = DockerLauncher().start(LaunchRequest(
    argv=command, cores=[], threads=1, workdir=workdir, log_path=workdir.parent / "log", image=sys.argv[2],
    labels=labels_of("follower-1", "incarnation-1")))
await_file(workdir / "up")
print(*launched.pids(), flush=True)
time.sleep(60)
"""

WAIT = "import time\ntime.sleep(60)"
SAY_UP = "open('up', 'w').write('up')\n"
READING = {
    "preprocess": [
        {"op": "decode_image", "channels": "bgr"},
        {"op": "resize", "size": [48, 320], "keep_aspect": True},
        {"op": "normalize", "mean": [0.5], "std": [0.5]},
        {"op": "channels_first"},
    ],
    "postprocess": [{"op": "ctc_decode"}],
}
STATUS = """
import json, os, re
fields = dict(line.split(":\\t", 1) for line in open("/proc/self/status") if ":\\t" in line)
def refused(act):
    try: act()
    except OSError as error: return error.strerror
    return None
def run_scratch():
    open("/tmp/program", "w").write("#!/bin/sh\\n"); os.chmod("/tmp/program", 0o755); os.execv("/tmp/program", ["p"])
print(json.dumps({
    "uid": os.getuid(), "groups": os.getgroups(),
    "capabilities": int(fields["CapEff"], 16) | int(fields["CapBnd"], 16),
    "no_new_privileges": fields["NoNewPrivs"].strip(), "seccomp": fields["Seccomp"].strip(),
    "root": refused(lambda: open("/opt/inferbench/x", "w")), "scratch": refused(run_scratch),
    "model": refused(lambda: open("MODEL", "a")),
    "shm": os.statvfs("/dev/shm").f_blocks * os.statvfs("/dev/shm").f_frsize,
    "interfaces": sorted(os.listdir("/sys/class/net")),
    "processes": sum(name.isdigit() for name in os.listdir("/proc")),
}))
"""
REACH = """
import json, socket, sys
def reached(host, port):
    try: socket.create_connection((host, int(port)), timeout=1).close()
    except OSError: return False
    return True
print(json.dumps([reached(*address.split(":")) for address in sys.argv[1:]]))
"""


def test_a_model_runs_without_any_privilege(tmp_path: Path) -> None:
    """Nobody's user, no capability, filtered calls, nothing to write but its work directory and a scratch."""
    model = tmp_path / "model"
    model.write_text("weights")
    model.chmod(0o666)
    found = json.loads(output(tmp_path / "run", STATUS.replace("MODEL", str(model)), reads=[model]))
    assert found.pop("uid") == (os.geteuid() or 65532)
    assert found.pop("processes") < 10
    assert 0 not in found.pop("groups")
    assert found == {
        "capabilities": 0,
        "no_new_privileges": "1",
        "seccomp": "2",
        "root": "Read-only file system",
        "scratch": "Permission denied",
        "model": "Read-only file system",
        "shm": 256 << 20,
        "interfaces": ["eth0", "lo"],
    }


def test_a_fork_bomb_hits_its_limit_and_not_the_machine(tmp_path: Path) -> None:
    """The engine counts threads, too."""
    code = (
        "import threading\nheld = threading.Event()\nstarted = 0\ntry:\n  while True:\n"
        "    threading.Thread(target=held.wait, daemon=True).start(); started += 1\n"
        "except RuntimeError: print(started, flush=True)\nimport os\nos._exit(0)"
    )
    assert 900 < int(output(tmp_path, code)) < 1024


def test_a_container_reaches_nothing_but_who_asks_it(tmp_path: Path) -> None:
    """Not this host's services, not another container, not the world; while the host reaches both containers."""
    serve = (
        "import socket\nlistener = socket.create_server(('0.0.0.0', 7000))\n" + SAY_UP + "while True: listener.accept()"
    )
    with (
        contained_python(tmp_path / "peer", serve) as peer,
        socket.create_server(("0.0.0.0", 0)) as service_of_host,
    ):
        await_file(tmp_path / "peer/work/up")
        socket.create_connection((peer.address, 7000), timeout=2).close()
        gateway = peer.address.rpartition(".")[0] + ".1"
        host = f"{gateway}:{service_of_host.getsockname()[1]}"
        reached = json.loads(
            output(tmp_path / "run", REACH, host, f"{peer.address}:7000", "192.0.2.1:80", "1.1.1.1:53")
        )
    host_reached, *others = reached
    assert others == [False, False, False]
    if os.geteuid() == 0:  # it takes root to close the host; where it was not closed, the record says so
        assert host_reached is False


def test_the_way_to_this_host_is_closed_once_only() -> None:
    """However many containers were started."""
    if os.geteuid() != 0:
        pytest.skip("only root can close it")
    assert network.close_host()
    assert network.close_host()
    rules = subprocess.run(["iptables", "-S", "INPUT"], capture_output=True, text=True, check=True).stdout
    assert rules.count(f"-i {network.BRIDGE} ") == 1


def test_what_the_kernel_kills_for_memory_is_told_apart(tmp_path: Path) -> None:
    """By the engine's flag, not by the words of a log."""
    hog = "blocks = [bytearray(b'x' * (16 << 20)) for _ in range(100)]"
    with contained_python(tmp_path, hog, memory_bytes=128 << 20) as launched:
        assert eventually(lambda: launched.poll() is not None)
        exit_ = launched.poll()
    assert exit_ is not None
    assert exit_.oom_kills == 1
    failure = explain(exit_, tail(launched.log_path))
    assert failure.cause is Cause.SERVER_OUT_OF_MEMORY
    assert "the kernel killed the server" in failure.detail


def test_a_killed_container_is_not_taken_for_one_without_memory(tmp_path: Path) -> None:
    """The same signal from somebody else, by the host's number of the process."""
    with contained_python(tmp_path, SAY_UP + WAIT) as launched:
        await_file(tmp_path / "work/up")
        os.kill(launched.pids()[0], signal.SIGKILL)
        assert eventually(lambda: launched.poll() is not None)
        exit_ = launched.poll()
    assert exit_ is not None
    assert explain(exit_, "").cause is Cause.SERVER_DIED


def test_an_image_that_is_not_there_is_named(tmp_path: Path) -> None:
    """With what would be right, and nothing is left behind."""
    for attempt in (
        lambda: DockerLauncher().require("nobody/nothing:1"),
        lambda: contained_python(tmp_path, WAIT, image="nobody/nothing:1").__enter__(),
    ):
        with pytest.raises(
            NotAvailable, match=r"'nobody/nothing:1' is not on this machine.*make images.*INFERBENCH_IMAGES"
        ):
            attempt()
    assert containers_in(tmp_path) == []
    with pytest.raises(InvalidInput, match="needs an image"):
        DockerLauncher().require(None)


def test_what_the_engine_refuses_is_told_in_its_words(tmp_path: Path) -> None:
    """Cores that are not there: it never runs unpinned by mistake, and the container is removed."""
    with (
        pytest.raises(AttemptFailed, match="CPUs are not available") as caught,
        contained_python(tmp_path, WAIT, cores=[4000]),
    ):
        pass
    assert caught.value.cause is Cause.FOLLOWER_ERROR
    assert containers_in(tmp_path) == []


def test_a_command_that_the_image_lacks_is_named_in_the_log(tmp_path: Path) -> None:
    """As its shell says it."""
    with contained_python(tmp_path, "", argv=["no-such-server"]) as launched:
        assert eventually(lambda: launched.poll() is not None)
        assert "no-such-server" in tail(launched.log_path)


def test_a_container_carries_what_it_belongs_to_until_it_is_stopped(tmp_path: Path) -> None:
    """Follower, incarnation, run and fence, beside its work directory."""
    labels = labels_of("mine", "now")
    with contained_python(tmp_path, WAIT, labels=labels):
        (found,) = containers_in(tmp_path)
        assert found.items() >= labels.items()
    assert containers_in(tmp_path) == []


def test_a_container_is_counted_by_its_own_control_group(tmp_path: Path) -> None:
    """Half a second of work and fifty megabytes are found in it, to the percent."""
    code = (
        "import time\nblock = b'x' * 50_000_000\nopen('up', 'w').write('up')\n"
        "while True:\n  try: open('go').close(); break\n  except OSError: time.sleep(0.01)\n"
        "end = time.process_time() + 0.5\nwhile time.process_time() < end: pass\n"
        "open('done', 'w').write('done')\ntime.sleep(60)"
    )
    with contained_python(tmp_path, code) as launched:
        await_file(tmp_path / "work/up")
        collector = server_collector(launched.pids())
        assert isinstance(collector, GroupCollector)
        collector.start()
        (tmp_path / "work/go").touch()
        await_file(tmp_path / "work/done")
        collector.sample()
    collector.stop()
    first, last = collector.readings
    assert 0.49 < (last.cpu_ns - first.cpu_ns) / 1e9 < 0.6
    assert 50e6 < last.rss_bytes < 80e6
    assert last.threads is not None
    assert last.throttled_ns == 0


def test_a_container_that_somebody_removed_counts_as_killed(tmp_path: Path) -> None:
    """And stopping it is no error."""
    with contained_python(tmp_path, SAY_UP + WAIT) as launched:
        await_file(tmp_path / "work/up")
        pids = launched.pids()
        assert remove_below(tmp_path) == 1
        assert eventually(lambda: alive(pids) == [])
        exit_ = launched.poll()
    assert exit_ is not None
    assert explain(exit_, "").cause is Cause.SERVER_DIED


def test_leftovers_of_this_follower_are_removed_and_nothing_else(tmp_path: Path) -> None:
    """Not what runs now, not another follower's, and not what a namesake has in another directory."""
    places = {
        "left": (tmp_path / "attempts/left", labels_of("mine", "before")),
        "now": (tmp_path / "attempts/now", labels_of("mine", "now")),
        "other": (tmp_path / "attempts/other", labels_of("other", "before")),
        "namesake": (tmp_path / "elsewhere/namesake", labels_of("mine", "before")),
        "unmarked": (tmp_path / "attempts/unmarked", {}),
    }
    with ExitStack() as stack:
        started = {
            name: stack.enter_context(contained_python(folder, SAY_UP + WAIT, labels=labels))
            for name, (folder, labels) in places.items()
        }
        for folder, _ in places.values():
            await_file(folder / "work/up")
        pids = started["left"].pids()
        assert remove_older("mine", "now", tmp_path / "attempts") == 1
        assert eventually(lambda: alive(pids) == [])
        assert [name for name, launched in started.items() if not launched.pids()] == ["left"]
    assert containers_in(tmp_path) == []


def test_an_agent_removes_what_its_killed_predecessor_left(tmp_path: Path) -> None:
    """With its killed attempt the container has ended by itself; it goes when the next agent starts."""
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(Path(__file__).parents[1])}
    arguments = [sys.executable, "-c", LOSER, str(tmp_path / "attempts/run/server"), MODEL_SERVER]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, env=environment) as loser:
        assert loser.stdout is not None
        pids = tuple(int(pid) for pid in loser.stdout.readline().split())
        loser.kill()
    assert pids
    assert eventually(lambda: alive(pids) == [])
    assert len(containers_in(tmp_path)) == 1
    with (
        contained_python(tmp_path / "of-another", WAIT, labels=labels_of("follower-2", "before")) as another,
        fake_leader() as leader,
        agent_in_thread(leader.url, tmp_path, incarnation="incarnation-2"),
    ):
        leader.wait_for(lambda it: it.registrations)
        assert [labels[FOLLOWER_LABEL] for labels in containers_in(tmp_path)] == ["follower-2"]
        assert another.poll() is None


def test_a_run_is_measured_in_a_container_from_end_to_end(tmp_path: Path) -> None:
    """The record says what it was made of and how it was confined; counters are those of its group."""
    spec = run_spec(service={"platform": "onnxruntime", "launch": "docker"})
    with attempt_process(tmp_path, assignment(spec=spec)) as attempt:
        record = attempt.succeed().record
        assert containers_in(tmp_path) == []
    launch = record.environment["in_force"]["service"]["launch"]
    assert (launch["launcher"], launch["image"]) == ("docker", MODEL_SERVER)
    assert launch["image_id"].startswith("sha256:")
    assert launch["capabilities"] == []
    assert launch["user"] == str(user_for(os.geteuid(), os.getegid()))
    assert record.cold_start.first_inference_ms is not None
    assert record.response_latency.n > 0
    assert record.server is not None
    assert record.server.rss_max_bytes is not None


def test_a_fetched_model_and_its_processors_run_in_a_container(tmp_path: Path) -> None:
    """The model's file is the follower's alone until the container has to read it; the image holds what processes."""
    path, card = load("ppocr-rec")
    content = path.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    (tmp_path / "token").write_text(TOKEN)
    with fake_leader() as leader:
        leader.blobs[digest] = content
        card_json = card.model_dump(mode="json")
        pin = ModelPin(name="ppocr-rec", version=1, sha256=digest, size_bytes=len(content), card=card_json)
        spec = run_spec(
            model={"name": "ppocr-rec"},
            service={"platform": "onnxruntime", "launch": "docker"},
            requests={"dataset": "text-lines"},
            pipeline={"side": "server", **READING},
        )
        with attempt_process(tmp_path, assignment(spec=spec, model=pin), leader_url=leader.url) as attempt:
            record = attempt.succeed().record
    assert record.quality is not None
    assert (record.quality.value or 0) > 0.8


def test_a_killed_attempt_leaves_no_process_in_its_container(tmp_path: Path) -> None:
    """As the agent ends a cancelled one; what is left of the container goes with the attempt's directory."""
    long = {"pattern": "closed", "concurrency": 1, "warmup": "200ms", "duration": "60s"}
    spec = run_spec(service={"platform": "onnxruntime", "launch": "docker"}, workload=long)
    with attempt_process(tmp_path, assignment(spec=spec)) as attempt:
        attempt.wait_for("ready")
        (labels,) = containers_in(tmp_path)
        assert (labels["inferbench.follower"], labels["inferbench.fence"]) == ("follower-1", "1")
        pids = carriers_of(attempt.directory.server)
        assert pids
        attempt.process.kill()
        wait_until_gone(pids)
        assert remove_below(attempt.directory.root) == 1


def test_an_image_that_is_missing_ends_the_attempt_with_its_name(tmp_path: Path) -> None:
    """Not with a start that times out."""
    spec = run_spec(service={"platform": "onnxruntime", "launch": "docker"})
    with attempt_process(tmp_path, assignment(spec=spec), images={"onnxruntime": "nobody/nothing:1"}) as attempt:
        failure = attempt.fail()
    assert "'nobody/nothing:1' is not on this machine" in failure.detail


def test_a_follower_without_an_engine_says_where_it_looked(tmp_path: Path) -> None:
    """And there is nothing to remove."""
    launcher = DockerLauncher(tmp_path / "docker.sock")
    assert not launcher.is_available()
    with pytest.raises(NotAvailable, match=r"no container engine answers: there is no socket .*docker\.sock"):
        launcher.require(MODEL_SERVER)
    assert remove_below(tmp_path, tmp_path / "docker.sock") == 0
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(tmp_path / "docker.sock"))
        assert not launcher.is_available()
        with pytest.raises(NotAvailable, match="does not answer"):
            launcher.require(MODEL_SERVER)
