"""What was left behind must be found, and nothing else."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from chaos import remains
from chaos.program import MARK, environment_of

SLEEP = (sys.executable, "-I", "-S", "-c", "import time; time.sleep(60)")


@contextmanager
def process(folder: Path | None) -> Iterator[subprocess.Popen[bytes]]:
    """A process that carries the mark of ``folder``, or none."""
    with subprocess.Popen(SLEEP, env=environment_of(folder) if folder else {}) as started:
        deadline = time.monotonic() + 5
        while not Path(f"/proc/{started.pid}/cmdline").read_bytes().endswith(b"(60)\0"):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        try:
            yield started
        finally:
            started.kill()


def test_an_orphan_is_found_by_its_mark_and_described(tmp_path: Path) -> None:
    """Whoever its parent is, and whatever session it is in."""
    with process(tmp_path) as orphan:
        assert remains.marked(tmp_path) == [orphan.pid]
        assert remains.described(orphan.pid).startswith(f"{orphan.pid} ")
        assert remains.marked(tmp_path, besides=[orphan.pid]) == []


def test_processes_of_others_and_of_other_stacks_are_no_orphans(tmp_path: Path) -> None:
    """A folder whose name merely begins alike is another stack."""
    with process(None), process(tmp_path / "stack-2"):
        assert remains.marked(tmp_path / "stack") == []


def test_a_process_that_ended_and_was_not_collected_is_no_orphan(tmp_path: Path) -> None:
    """A zombie uses nothing but its number."""
    with process(tmp_path) as ended:
        ended.send_signal(signal.SIGKILL)
        os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)
        assert remains.marked(tmp_path) == []


def test_only_processes_of_the_stack_are_signalled(tmp_path: Path) -> None:
    """A number that now belongs to somebody else is left alone."""
    with process(tmp_path) as ours, process(None) as stranger:
        assert not remains.signal_marked(stranger.pid, tmp_path, signal.SIGKILL)
        assert remains.signal_marked(ours.pid, tmp_path, signal.SIGKILL)
        assert ours.wait(5) == -signal.SIGKILL
        assert stranger.poll() is None
        assert not remains.signal_marked(ours.pid, tmp_path, signal.SIGKILL)


@pytest.mark.parametrize("left", ["attempts/j-1.0.a1.f1/outcome.json", "cache/abc.partial", "last-words"])
def test_what_an_idle_follower_does_not_keep_is_found(tmp_path: Path, left: str) -> None:
    """An attempt's directory, a fetched piece, anything at all."""
    for name in ("agent.lock", "home", left):
        path = tmp_path / "f1" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert f"f1/{left}" in remains.left_in_work_dirs(tmp_path)
    (tmp_path / "f1" / left).unlink()
    assert f"f1/{left}" not in remains.left_in_work_dirs(tmp_path)


def test_an_empty_directory_of_an_attempt_is_found_too(tmp_path: Path) -> None:
    """Its removal was not finished."""
    (tmp_path / "f1" / "attempts" / "j-1.0.a1.f1").mkdir(parents=True)
    assert remains.left_in_work_dirs(tmp_path) == ["f1/attempts/j-1.0.a1.f1"]


def test_every_entry_of_a_folder_that_should_be_empty_is_named(tmp_path: Path) -> None:
    """Directories as well."""
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b").touch()
    assert remains.left_in(tmp_path) == ["a", "a/b"]


def test_the_mark_is_in_what_every_program_sees(tmp_path: Path) -> None:
    """And settings of the developer's are not."""
    seen = environment_of(tmp_path, INFERBENCH_PORT="1")
    assert seen[MARK] == str(tmp_path)
    assert [name for name in seen if name.startswith("INFERBENCH_")] == ["INFERBENCH_PORT"]
