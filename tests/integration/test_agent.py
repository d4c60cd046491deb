"""The agent with real processes against a leader that speaks real HTTP: leases, cancels, outages, restarts."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.assignments import JOB, assignment, run_spec
from support.fake_leader import TOKEN, FakeLeader, fake_leader
from support.scripted_agent import agent_in_thread, agent_process, is_running, make_agent, wait_until_gone

from follower.agent.reap import carriers_of, reap
from follower.settings import ATTEMPT_MARK
from shared.errors import Conflict
from shared.jobs.lifecycle import Cause
from shared.wire.assignment import Assignment, Failure

RUN = f"{JOB}.0000"


def task(script: str, *, lease_s: float = 15.0, run_id: str = RUN) -> Assignment:
    """A run whose attempt does as ``script`` says."""
    return assignment(run_id, lease_s=lease_s, spec=run_spec(requires={"labels": {"script": script}}))


def pids_of(work_dir: Path, timeout_s: float = 20.0) -> tuple[int, ...]:
    """The scripted attempt and its child, once they run."""
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            own, child = map(int, (work_dir / "pids").read_text().split())
        except (FileNotFoundError, ValueError):
            assert time.monotonic() < deadline
            time.sleep(0.02)
            continue
        return own, child


def outcome_of(leader: FakeLeader, run_id: str = RUN) -> Failure:
    """The failure that was delivered for a run."""
    delivered = leader.result_of(run_id)
    assert delivered is not None
    assert isinstance(delivered[0].outcome, Failure)
    return delivered[0].outcome


def test_a_finished_attempt_is_delivered_with_its_files_and_forgotten(tmp_path: Path) -> None:
    """Result, samples, log and story arrive; nothing is left on the follower."""
    with fake_leader() as leader, agent_in_thread(leader.url, tmp_path):
        leader.submit(task("finish"))
        leader.wait_for(lambda it: it.result_of(RUN))
        leader.wait_for(lambda _: not list((tmp_path / "attempts").iterdir()))
        assert outcome_of(leader).detail == "scripted end"
        assert leader.artifacts[RUN]["samples"] == b"samples"
        assert b"a line for the log" in leader.artifacts[RUN]["log"]
        assert [event.message for event in leader.progress[RUN]] == ["scripted"]
        assert RUN in leader.started


def test_runs_follow_one_another_on_a_slot(tmp_path: Path) -> None:
    """The next run is claimed as soon as the result of the one before is delivered."""
    runs = [f"{JOB}.{n:04d}" for n in range(3)]
    with fake_leader(poll_s=30.0) as leader:
        for run in runs:
            leader.submit(task("finish", run_id=run))
        with agent_in_thread(leader.url, tmp_path):
            leader.wait_for(lambda it: len(it.results) == 3)
    assert [run for run, _, _ in leader.results] == runs


def test_a_cancelled_attempt_is_gone_within_seconds_with_all_that_it_started(tmp_path: Path) -> None:
    """The stale fence is learnt at the next renewal; nothing of the attempt is delivered (I7)."""
    with fake_leader(lease_s=3.0) as leader, agent_in_thread(leader.url, tmp_path):
        leader.submit(task("hang", lease_s=3.0))
        pids = pids_of(tmp_path)
        leader.cancel(RUN)
        wait_until_gone(pids)
        leader.wait_for(lambda _: not list((tmp_path / "attempts").iterdir()))
        assert leader.result_of(RUN) is None


def test_an_attempt_that_is_cut_off_stops_itself_before_its_lease_ends(tmp_path: Path) -> None:
    """F19: by the leader's clock the device is free before the lease is over (I3)."""
    with fake_leader(lease_s=2.0) as leader, agent_in_thread(leader.url, tmp_path):
        leader.submit(task("hang", lease_s=2.0))
        pids = pids_of(tmp_path)
        leader.wait_for(lambda it: "lease" in it.calls)
        leader.is_down = True
        wait_until_gone(pids)
        last_alive_ns = int((tmp_path / "alive").read_text())
        assert last_alive_ns < leader.renewed_at_ns[RUN] + 2_000_000_000


def test_an_outage_shorter_than_the_lease_changes_nothing(tmp_path: Path) -> None:
    """F18: the attempt goes on and its lease is renewed afterwards."""
    with fake_leader(lease_s=6.0) as leader, agent_in_thread(leader.url, tmp_path):
        leader.submit(task("hang", lease_s=6.0))
        pids = pids_of(tmp_path)
        leader.is_down = True
        time.sleep(2.5)
        leader.is_down = False
        seen = leader.calls.count("lease")
        leader.wait_for(lambda it: it.calls.count("lease") > seen)
        assert all(map(is_running, pids))


def test_a_result_is_delivered_after_an_outage(tmp_path: Path) -> None:
    """An attempt that ended while the leader was away is not lost."""
    with fake_leader() as leader, agent_in_thread(leader.url, tmp_path):
        leader.slow_s["artifacts"] = 0.3
        leader.submit(task("finish"))
        leader.wait_for(lambda it: "artifacts" in it.calls)
        leader.is_down = True
        time.sleep(1.5)
        leader.is_down = False
        leader.wait_for(lambda it: it.result_of(RUN))
        assert outcome_of(leader).detail == "scripted end"


def test_a_slow_upload_does_not_keep_the_lease_from_being_renewed(tmp_path: Path) -> None:
    """While a file is on its way for longer than the lease, renewals go on."""
    with fake_leader(lease_s=1.5) as leader, agent_in_thread(leader.url, tmp_path):
        leader.slow_s["artifacts"] = 3.0
        leader.submit(task("finish", lease_s=1.5))
        leader.wait_for(lambda it: "artifacts" in it.calls)
        seen = leader.calls.count("lease")
        leader.wait_for(lambda it: it.result_of(RUN))
        assert leader.calls.count("lease") >= seen + 3


def test_an_attempt_that_crashes_is_reported_with_the_end_of_its_log(tmp_path: Path) -> None:
    """No outcome of its own: the agent says how the process ended and shows what it said last."""
    with fake_leader() as leader, agent_in_thread(leader.url, tmp_path):
        leader.submit(task("crash"))
        leader.wait_for(lambda it: it.result_of(RUN))
        failure = outcome_of(leader)
        assert failure.cause is Cause.FOLLOWER_ERROR
        assert "signal 6" in failure.detail
        assert "a line for the log" in failure.log_tail
        wait_until_gone(pids_of(tmp_path))


def test_an_agent_that_is_killed_takes_its_attempt_along_and_its_successor_says_so(tmp_path: Path) -> None:
    """F9: the run's follower died, and that is delivered in its name, before the new incarnation registers."""
    with fake_leader() as leader:
        with agent_process(leader.url, tmp_path) as agent:
            leader.submit(task("hang"))
            pids = pids_of(tmp_path)
            agent.kill()
            agent.wait()
            wait_until_gone(pids[:1])
        leader.calls.clear()
        with agent_process(leader.url, tmp_path, "incarnation-2"):
            leader.wait_for(lambda it: it.result_of(RUN) and len(it.registrations) == 2)
        wait_until_gone(pids)
        _, result, accepted = leader.results[0]
        assert outcome_of(leader).cause is Cause.FOLLOWER_DIED
        assert (result.incarnation, accepted) == ("incarnation-1", True)
        assert leader.calls.index("result") < leader.calls.index("register")


def test_an_agent_that_is_asked_to_stop_hands_its_run_back(tmp_path: Path) -> None:
    """SIGTERM: attempt ended, the leader told why, exit within seconds."""
    with fake_leader() as leader, agent_process(leader.url, tmp_path) as agent:
        leader.submit(task("hang"))
        pids = pids_of(tmp_path)
        agent.send_signal(signal.SIGTERM)
        assert agent.wait(timeout=15) == 0
        wait_until_gone(pids)
        assert outcome_of(leader).cause is Cause.FOLLOWER_STOPPED


def test_two_agents_do_not_share_a_directory(tmp_path: Path) -> None:
    """The second is refused, with what to do about it."""
    with fake_leader() as leader, agent_in_thread(leader.url, tmp_path):
        leader.wait_for(lambda it: it.registrations)
        with pytest.raises(Conflict, match="give this one its own work_dir"):
            make_agent(leader.url, tmp_path).run()


def test_reaping_ends_what_carries_the_directory_and_nothing_else(tmp_path: Path) -> None:
    """A process is recognised by its mark, not by its name or by a path on its command line."""
    sleep = [sys.executable, "-c", "import time; time.sleep(600)", str(tmp_path)]
    marked = subprocess.Popen(sleep, env={ATTEMPT_MARK: str(tmp_path / "attempts" / "x")})
    at_home = subprocess.Popen(sleep, env={"HOME": str(tmp_path / "attempts" / "x" / "server")})
    stranger = subprocess.Popen(sleep, env={"HOME": str(tmp_path) + "-elsewhere"})
    try:
        assert set(carriers_of(tmp_path)) == {marked.pid, at_home.pid}
        assert reap(tmp_path) == 2
        assert marked.wait(10) == at_home.wait(10) == -signal.SIGKILL
        assert stranger.poll() is None
    finally:
        for process in (marked, at_home, stranger):
            process.kill()
            process.wait()


def follower_command(url: str, folder: Path, token: str) -> subprocess.Popen[str]:
    """``python -m follower`` as its operator starts it."""
    (folder / "token").write_text(token)
    environment = {
        "PATH": "/usr/bin:/bin",
        "INFERBENCH_LEADER_URL": url,
        "INFERBENCH_TOKEN_FILE": str(folder / "token"),
        "INFERBENCH_WORK_DIR": str(folder / "work"),
        "INFERBENCH_SLOT_LOCK_DIR": str(folder / "slots"),
    }
    command = [sys.executable, "-P", "-m", "follower"]
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True, cwd=folder)


def test_a_wrong_token_ends_the_follower_with_one_line(tmp_path: Path) -> None:
    """No traceback, and a message that says what is wrong."""
    with fake_leader() as leader:
        process = follower_command(leader.url, tmp_path, "wrong")
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert errors.splitlines()[-1].startswith("follower: the leader refuses this follower's token")
    assert "Traceback" not in errors


def test_a_leader_that_is_away_at_the_start_is_waited_for(tmp_path: Path) -> None:
    """Each failed registration is logged, and the first that succeeds ends the wait."""
    with fake_leader(is_down=True) as leader:
        process = follower_command(leader.url, tmp_path, TOKEN)
        try:
            leader.wait_for(lambda it: it.turned_away >= 2, timeout_s=60)
            assert process.poll() is None
            leader.is_down = False
            leader.wait_for(lambda it: it.registrations)
            (registration,) = leader.registrations
            assert "onnxruntime" in {offer.platform for offer in registration.capabilities.platforms}
            assert {"closed", "poisson", "trace", "offline"} <= set(registration.capabilities.patterns)
            assert "search" not in registration.capabilities.patterns
            assert set(registration.slots[0].client_cores).isdisjoint(registration.slots[0].server_cores)
        finally:
            process.terminate()
            _, errors = process.communicate(timeout=30)
    assert "leader-unavailable" in errors
    assert process.returncode == 0
