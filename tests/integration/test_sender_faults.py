"""The sender process when things go wrong: faulty, dying and frozen servers, and its own end."""

import pickle
import signal
import subprocess
import sys
import threading
from pathlib import Path

import psutil
import pytest
from support.samples import MS
from support.sending import NOWHERE, Rig, errors_of, sender_of, senders_of, target_of

from follower.load.protocol import SenderFailed, Target
from shared.errors import AttemptFailed
from shared.jobs.lifecycle import Cause
from shared.jobs.pipeline import PipelineSpec
from shared.measure.columns import ERROR_KINDS
from shared.testing.behaviour import Behaviour, Fault, every, injector
from shared.testing.golden_server import golden_server


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    """A folder of its own for every run."""
    return Rig(tmp_path)


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ("http-500", "http-status"),
        ("reset", "reset"),
        ("close-early", "reset"),
        ("malformed", "malformed"),
        ("hang", "timeout"),
    ],
)
def test_injected_faults_are_counted_exactly_and_the_rest_is_unharmed(rig: Rig, fault: Fault, kind: str) -> None:
    """Every fourth request fails in its way; all others succeed, and the server agrees on both numbers."""
    with golden_server(Behaviour(faults=every(4, fault))) as server:
        ran = rig.load(server, pattern="constant", rate=200, duration="300ms", request_timeout="500ms")
        journal = server.journal()
    assert len(journal) == 100
    assert sum(done.fault == fault for done in journal) == 25
    assert ran.errors() == {"ok": 75, kind: 25}
    failures = ran.columns["error"] != 0
    assert (ran.columns["done_ns"][failures] > ran.columns["start_ns"][failures]).all()
    assert set(ran.columns["status"][failures].tolist()) == {500 if fault == "http-500" else 0}


def test_half_open_connections_cost_one_timeout_each(rig: Rig) -> None:
    """The other end vanishes without a word: what goes there next is given up, what the server saw is answered."""
    with golden_server(Behaviour(faults=every(4, "half-open"))) as server:
        ran = rig.load(server, pattern="constant", rate=200, duration="300ms", request_timeout="400ms")
        journal = server.journal()
    vanished = sum(done.fault == "half-open" for done in journal)
    timeouts = 100 - len(journal)
    assert 0 < timeouts <= vanished
    assert ran.errors() == {"ok": len(journal), "timeout": timeouts}


def test_a_mixture_of_faults_is_counted_exactly(rig: Rig) -> None:
    """Resets, failures and answers that trickle past the time limit, 5 % each: the rest is answered."""
    behaviour = injector({"reset": 1, "http-500": 1, "trickle": 1}, of=20)
    with golden_server(behaviour) as server:
        ran = rig.load(server, pattern="poisson", rate=400, duration="300ms", request_timeout="500ms")
        journal = server.journal()
    told = {fault: sum(done.fault == fault for done in journal) for fault in ("", "reset", "http-500", "trickle")}
    assert len(journal) == len(ran.plan.due_ns)
    assert ran.errors() == {
        "ok": told[""],
        "reset": told["reset"],
        "timeout": told["trickle"],
        "http-status": told["http-500"],
    }


def test_an_answer_that_trickles_within_the_limit_is_an_answer(rig: Rig) -> None:
    """20 pieces, 5 ms apart: slow, whole and counted as such."""
    with golden_server(Behaviour(faults=("trickle",), trickle_ms=5)) as server:
        ran = rig.load(server, pattern="constant", rate=50, duration="200ms")
    assert ran.errors() == {"ok": 20}
    assert (ran.columns["last_byte_ns"] - ran.columns["first_byte_ns"]).min() >= 80 * MS


def test_a_server_killed_in_mid_run_ends_in_errors_and_not_in_a_hang(rig: Rig) -> None:
    """What was answered stays, the rest is reset or refused, and the run ends at its own time."""
    with golden_server(Behaviour(service_ms=5)) as server:
        killer = threading.Timer(0.5, server.signal, [signal.SIGKILL])
        request = rig.request(target_of(server), {"pattern": "constant", "rate": 100, "duration": "800ms"})
        ran = rig.run(request, on_start=killer.start)
    errors = ran.errors()
    assert errors.pop("ok") > 20
    assert set(errors) <= {"connect", "reset"}
    assert errors["connect"] > 20
    assert ran.outcome.end_ns < ran.window.end_ns + 1000 * MS


def test_a_closed_loop_does_not_hammer_a_dead_server(rig: Rig) -> None:
    """Refused at once, each slot rests before it asks again: some tens of errors, not tens of thousands."""
    with golden_server() as server:
        target = target_of(server)
    ran = rig.run(rig.request(target, {"pattern": "closed", "concurrency": 2, "duration": "800ms"}))
    assert set(ran.errors()) == {"connect"}
    assert 10 < ran.errors()["connect"] < 100
    assert ran.measure().verdict.kind == "invalid"


@pytest.mark.parametrize("workload", [{"pattern": "closed", "concurrency": 3}, {"pattern": "poisson", "rate": 60}])
def test_a_frozen_server_gives_timeouts(rig: Rig, workload: dict[str, object]) -> None:
    """Stopped by a signal, it still accepts connections; each request is given up after its time limit."""
    with golden_server() as server:
        freezer = threading.Timer(0.4, server.signal, [signal.SIGSTOP])
        limits = {"duration": "800ms", "request_timeout": "400ms"}
        ran = rig.run(rig.request(target_of(server), {**workload, **limits}), on_start=freezer.start)
    errors = ran.errors()
    assert errors.pop("ok") > 5
    assert set(errors) == {"timeout"}
    gave_up = ran.columns["error"] == ERROR_KINDS.index("timeout")
    waited_ns = (ran.columns["done_ns"] - ran.columns["start_ns"])[gave_up]
    assert 400 * MS <= waited_ns.min() <= waited_ns.max() < 1400 * MS
    assert ran.outcome.end_ns <= ran.window.end_ns + 1400 * MS


def test_ops_that_cannot_be_built_fail_the_attempt_with_their_own_cause(rig: Rig) -> None:
    """No load is started for them."""
    no_labels = PipelineSpec.model_validate({"postprocess": [{"op": "ctc_decode"}]})
    request = rig.request(NOWHERE, {"pattern": "constant", "rate": 50}, raw=[[b"abc"]], pipeline=no_labels)
    with pytest.raises(AttemptFailed, match="labels") as caught:
        rig.run(request)
    assert caught.value.cause is Cause.PIPELINE_FAILED


def test_keep_going_may_end_the_load_at_once(rig: Rig) -> None:
    """What it raises comes through, and the sender process and its files are gone."""

    def stop() -> None:
        raise AttemptFailed(Cause.CANCELLED_BY_USER, "enough")

    request = rig.request(NOWHERE, {"pattern": "closed", "duration": "30s"})
    with pytest.raises(AttemptFailed, match="enough"):
        rig.run(request, keep_going=stop)
    assert not senders_of(psutil.Process())
    assert list(rig.folder.iterdir()) == []


@pytest.mark.parametrize("workers", [1, 2])
def test_a_sender_killed_in_mid_run_leaves_its_rows_as_evidence(rig: Rig, workers: int) -> None:
    """No outcome is invented, but what it had written is there; the other sender and its rows, too."""

    def kill_after_a_while() -> None:
        threading.Timer(0.6, sender_of(psutil.Process()).kill).start()

    with golden_server() as server:
        workload = {"pattern": "constant", "rate": 100, "duration": "30s"}
        request = rig.request(target_of(server), workload, workers=workers)
        with pytest.raises(SenderFailed, match="signal 9") as caught:
            rig.run(request, on_start=kill_after_a_while)
        journal = server.journal()
    assert caught.value.cause is Cause.FOLLOWER_ERROR
    assert not senders_of(psutil.Process())
    columns, origin_ns = caught.value.columns, caught.value.origin_ns
    assert 20 < len(columns["due_ns"]) <= len(journal)
    assert errors_of(columns) == {"ok": len(columns["due_ns"])}
    assert set(columns["worker"].tolist()) == set(range(workers))
    assert set((columns["due_ns"] - origin_ns).tolist()) <= set(request.plan.due_ns.tolist())


def test_a_sender_killed_before_the_start_is_a_failure_with_its_cause(rig: Rig) -> None:
    """It cannot make the barrier: the other one never begins, and there are no rows to keep."""
    started: list[None] = []
    request = rig.request(NOWHERE, {"pattern": "constant", "rate": 10, "duration": "30s"}, workers=2)
    killer = threading.Thread(target=lambda: sender_of(psutil.Process()).kill())
    killer.start()
    with pytest.raises(AttemptFailed, match=r"load sender \d on core \d+ ended with signal 9") as caught:
        rig.run(request, on_start=lambda: started.append(None))
    killer.join()
    assert caught.value.cause is Cause.FOLLOWER_ERROR
    assert not isinstance(caught.value, SenderFailed)
    assert started == []


def test_a_sender_that_breaks_leaves_its_log(rig: Rig) -> None:
    """A host that nobody knows: the attempt fails with what the sender said last."""
    nowhere = Target(host="no-such-host.invalid", port=1, path="/")
    with pytest.raises(AttemptFailed, match="exit code 1") as caught:
        rig.run(rig.request(nowhere, {"pattern": "constant", "rate": 10, "duration": "1s"}))
    assert "gaierror" in caught.value.log_tail


RUN_ONE = """
import pickle, sys
from follower.load.process_sender import ProcessSender
request = pickle.load(open(sys.argv[1], "rb"))
ProcessSender().run(request, on_start=lambda *_: None, keep_going=lambda: None)
"""


def test_the_sender_dies_with_its_parent(rig: Rig) -> None:
    """Killed without a chance to clean up, the parent takes the sender along."""
    job = rig.folder / "request.pickle"
    job.write_bytes(pickle.dumps(rig.request(NOWHERE, {"pattern": "closed", "duration": "60s"})))
    with subprocess.Popen([sys.executable, "-c", RUN_ONE, str(job)]) as parent:
        sender = sender_of(psutil.Process(parent.pid))
        parent.kill()
    _, alive = psutil.wait_procs([sender], timeout=5)
    assert [process for process in alive if process.status() != psutil.STATUS_ZOMBIE] == []
