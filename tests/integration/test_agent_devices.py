"""Agents and the devices of their machine: never two attempts on one, whoever dies how."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.assignments import JOB, assignment, run_spec
from support.fake_leader import FakeLeader, fake_leader
from support.scripted_agent import (
    CORE,
    agent_in_thread,
    agent_process,
    is_running,
    locks_of,
    make_agent,
    wait_until_gone,
)

from follower.agent.attempts import DEFAULT_COMMAND
from follower.agent.lock_file import Busy, Holder, lock_file
from follower.agent.reap import carriers_of
from follower.settings import ATTEMPT_MARK
from shared.errors import Conflict
from shared.jobs.lifecycle import Cause
from shared.wire.assignment import Assignment, Failure, Success

RUN = f"{JOB}.0000"
LOCK = f"core-{CORE}.lock"
NOBODY = Holder(pid=1, follower="nobody", work_dir="/", incarnation="-")


def task(script: str, *, attempt: int = 1, fence: int = 1) -> Assignment:
    """A run whose attempt does as ``script`` says."""
    return assignment(RUN, attempt=attempt, fence=fence, spec=run_spec(requires={"labels": {"script": script}}))


def pids_of(work_dir: Path, timeout_s: float = 20.0) -> tuple[int, int]:
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


def holds(pid: int, lock: Path) -> bool:
    """Whether a process has the lock's file open."""
    try:
        return any(link.resolve() == lock for link in Path(f"/proc/{pid}/fd").iterdir())
    except OSError:  # it has ended meanwhile
        return False


def is_free(lock: Path) -> bool:
    """Whether an agent could have the lock now."""
    try:
        os.close(lock_file(lock.parent, lock.name, NOBODY))
    except Busy:
        return False
    return True


def wait_for_registrations(leader: FakeLeader, count: int) -> None:
    """Until so many agents have said who they are."""
    leader.wait_for(lambda it: len(it.registrations) == count)


def failure_of(leader: FakeLeader) -> Failure:
    """The failure that was delivered for the run."""
    delivered = leader.result_of(RUN)
    assert delivered is not None
    assert isinstance(delivered[0].outcome, Failure)
    return delivered[0].outcome


@contextmanager
def foreign_process(place: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process that carries ``place`` as its attempt's directory."""
    command = [sys.executable, "-c", "import time; time.sleep(600)"]
    process = subprocess.Popen(command, env={ATTEMPT_MARK: str(place)})
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def test_a_second_agent_on_the_same_core_is_refused_and_the_first_works_on(tmp_path: Path) -> None:
    """Before it registers: the leader never hears of it."""
    slots = tmp_path / "slots"
    with fake_leader() as leader, agent_in_thread(leader.url, tmp_path / "a", slot_lock_dir=slots):
        leader.wait_for(lambda it: it.registrations)
        with pytest.raises(Conflict, match=f"slot 'cpu' needs core {CORE}.*follower 'follower-1', pid .*/a. Stop"):
            make_agent(leader.url, tmp_path / "b", slot_lock_dir=slots).run()
        leader.submit(task("finish"))
        leader.wait_for(lambda it: it.result_of(RUN))
        assert len(leader.registrations) == 1


def test_agents_with_locks_of_their_own_share_a_core(tmp_path: Path) -> None:
    """As somebody wished it who set the directory."""
    with (
        fake_leader() as leader,
        agent_in_thread(leader.url, tmp_path / "a", slot_lock_dir=tmp_path / "one"),
        agent_in_thread(leader.url, tmp_path / "b", slot_lock_dir=tmp_path / "other"),
    ):
        leader.wait_for(lambda it: len(it.registrations) == 2)


def test_an_attempt_holds_its_device_and_what_it_starts_does_not(tmp_path: Path) -> None:
    """So the device is free with the attempt, however slowly its children's leftovers are cleaned away."""
    lock = locks_of(tmp_path / "work") / LOCK
    with fake_leader() as leader, agent_process(leader.url, tmp_path / "work") as agent:
        leader.submit(task("hang"))
        attempt, child = pids_of(tmp_path / "work")
        assert holds(agent.pid, lock)
        assert holds(attempt, lock)
        assert not holds(child, lock)
        assert not is_free(lock)
        agent.kill()
        agent.wait()
        wait_until_gone((attempt,))
        assert is_free(lock)


def test_a_restarted_agent_has_its_device_after_its_leftovers_are_gone(tmp_path: Path) -> None:
    """What an attempt of the killed agent left running is ended first, and the same device works again."""
    with fake_leader() as leader:
        with agent_process(leader.url, tmp_path / "work") as agent:
            leader.submit(task("hang"))
            pids = pids_of(tmp_path / "work")
            agent.kill()
            agent.wait()
        with agent_process(leader.url, tmp_path / "work", "incarnation-2"):
            leader.wait_for(lambda it: it.result_of(RUN))
            assert not any(map(is_running, pids))
            assert failure_of(leader).cause is Cause.FOLLOWER_DIED
            again = f"{JOB}.0001"
            leader.submit(assignment(again, spec=run_spec(requires={"labels": {"script": "finish"}})))
            leader.wait_for(lambda it: it.result_of(again))


def test_a_restart_ends_what_carries_its_own_directory_and_nothing_else(tmp_path: Path) -> None:
    """Not even another agent's attempt of the same run, whose directory's name begins with ours."""
    theirs = tmp_path / "work-2" / "attempts" / f"{RUN}.a1.f1"
    ours = tmp_path / "work" / "attempts" / "gone.a1.f1"
    with (
        foreign_process(theirs) as stranger,
        foreign_process(ours) as leftover,
        fake_leader() as leader,
        agent_process(leader.url, tmp_path / "work"),
    ):
        leader.wait_for(lambda it: it.registrations)
        assert leftover.wait(10) == -signal.SIGKILL
        assert stranger.poll() is None


def test_leftovers_are_known_by_whichever_path_the_agent_is_started(tmp_path: Path) -> None:
    """A link to the directory is the directory."""
    (tmp_path / "work" / "attempts").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "work")
    with (
        foreign_process(tmp_path / "work" / "attempts" / "gone.a1.f1") as leftover,
        fake_leader() as leader,
        agent_process(leader.url, tmp_path / "link"),
    ):
        leader.wait_for(lambda it: it.registrations)
        assert leftover.wait(10) == -signal.SIGKILL


def test_all_that_an_attempt_starts_carries_run_attempt_and_fence(tmp_path: Path) -> None:
    """In its directory's name, which is its mark: two attempts of one run are never taken for each other."""
    with fake_leader() as leader, agent_in_thread(leader.url, tmp_path):
        leader.submit(task("hang", attempt=3, fence=7))
        pids = pids_of(tmp_path)
        place = tmp_path / "attempts" / f"{RUN}.a3.f7"
        assert (place / "assignment.json").exists()
        assert set(carriers_of(place)) >= set(pids)
        for pid in pids:
            assert f"{ATTEMPT_MARK}={place}".encode() in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        assert carriers_of(tmp_path / "attempts" / f"{RUN}.a3.f8") == ()


def test_a_directory_has_one_home_over_all_restarts(tmp_path: Path) -> None:
    """By it the leader tells a restart from another agent of the same name."""
    with fake_leader() as leader:
        for work_dir, count in (("a", 1), ("a", 2), ("b", 3)):
            with agent_in_thread(leader.url, tmp_path / work_dir):
                wait_for_registrations(leader, count)
        first, again, other = (registration.home for registration in leader.registrations)
        assert first == again != other
        assert all(len(home) == 32 for home in (first, other))


def test_an_agent_that_stops_says_good_bye_last(tmp_path: Path) -> None:
    """After the run was handed back: the leader may give its name away at once."""
    with fake_leader() as leader:
        with agent_process(leader.url, tmp_path / "work") as agent:
            leader.submit(task("hang"))
            pids_of(tmp_path / "work")
            agent.send_signal(signal.SIGTERM)
            assert agent.wait(timeout=15) == 0
        assert failure_of(leader).cause is Cause.FOLLOWER_STOPPED
        assert leader.heartbeats[-1].leaving
        assert leader.calls[-1] == "heartbeat"
        assert not any(beat.leaving for beat in leader.heartbeats[:-1])


def test_a_stop_that_could_not_be_told_is_told_at_the_next_start(tmp_path: Path) -> None:
    """The leader was away; the run's follower was stopped all the same, and did not die."""
    with fake_leader() as leader:
        with agent_process(leader.url, tmp_path / "work") as agent:
            leader.submit(task("hang"))
            pids_of(tmp_path / "work")
            leader.is_down = True
            agent.send_signal(signal.SIGTERM)
            assert agent.wait(timeout=15) == 0
            assert leader.result_of(RUN) is None
        leader.is_down = False
        with agent_process(leader.url, tmp_path / "work", "incarnation-2"):
            leader.wait_for(lambda it: it.result_of(RUN))
        assert failure_of(leader).cause is Cause.FOLLOWER_STOPPED


def test_a_real_attempt_keeps_the_lock_from_its_server_and_its_senders(tmp_path: Path) -> None:
    """Watched from its start to its end: of all its processes only the attempt itself has the file open."""
    lock = tmp_path / "slots" / LOCK
    holders: set[bytes] = set()
    others: set[bytes] = set()
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.01):
            for pid in carriers_of(tmp_path / "work"):
                try:
                    words = Path(f"/proc/{pid}/cmdline").read_bytes()
                except OSError:
                    continue
                (holders if holds(pid, lock) else others).add(words)

    watcher = threading.Thread(target=watch)
    with (
        fake_leader() as leader,
        agent_in_thread(leader.url, tmp_path / "work", attempt=DEFAULT_COMMAND, slot_lock_dir=tmp_path / "slots"),
    ):
        watcher.start()
        try:
            leader.submit(assignment(RUN))
            leader.wait_for(lambda it: it.result_of(RUN), timeout_s=60)
        finally:
            over.set()
            watcher.join()
        delivered = leader.result_of(RUN)
        assert delivered is not None
        assert isinstance(delivered[0].outcome, Success)
    assert any(b"follower.attempt" in words for words in holders)
    assert any(b"server" in words for words in others)
    assert all(b"follower.attempt" in words for words in holders), holders
