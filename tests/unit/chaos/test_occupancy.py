"""The witness of device overlap: it must see what is there, and nothing else."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from chaos import attempt
from chaos.occupancy import OccupancyLog, overlaps
from support.assignments import assignment, inventory, slot

from follower.attempt.order import AttemptOrder

MS = 1_000_000


def line(at_ms: float, kind: str, *, device: str = "f1/cpu", run: str = "j-1.0", pid: int = 10, own: int = 0) -> str:
    """One stamp of attempt 1, fence 1."""
    return f"{round(at_ms * MS)} {kind} {device} {run} 1 1 {pid} {own or pid}"


def log_of(folder: Path, *lines: str) -> OccupancyLog:
    """A log with these lines."""
    path = folder / "stamps"
    path.write_text("".join(f"{one}\n" for one in lines))
    return OccupancyLog(path)


def test_attempts_that_follow_one_another_do_not_overlap(tmp_path: Path) -> None:
    """One ends at the very stamp at which the next begins."""
    log = log_of(tmp_path, line(0, "begin"), line(1, "hold"), line(50, "end"), line(50, "begin", run="j-2.0", pid=11))
    assert overlaps(log.refresh()) == []


def test_two_attempts_at_once_on_one_device_are_caught_with_their_time(tmp_path: Path) -> None:
    """From the later one's begin to the earlier one's last sign of life, whoever gave it: 30 ms by its child."""
    log = log_of(
        tmp_path,
        line(0, "begin"),
        line(40, "alive"),
        line(50, "begin", run="j-2.0", pid=11),
        line(80, "child", own=99),
        line(90, "end", run="j-2.0", pid=11),
    )
    (found,) = overlaps(log.refresh())
    assert found.ns == 30 * MS
    assert "30.000 ms beside attempt 1 of j-1.0" in str(found)


def test_an_attempt_within_another_overlaps_for_all_of_its_time(tmp_path: Path) -> None:
    """The earlier one goes on afterwards: what counts ends with the later one."""
    log = log_of(
        tmp_path,
        line(0, "begin"),
        line(20, "begin", run="j-2.0", pid=11),
        line(25, "end", run="j-2.0", pid=11),
        line(100, "end"),
    )
    assert [found.ns for found in overlaps(log.refresh())] == [5 * MS]


def test_an_attempt_that_was_started_twice_overlaps_with_itself(tmp_path: Path) -> None:
    """The same run, attempt and fence in two processes are two."""
    log = log_of(tmp_path, line(0, "begin"), line(10, "begin", pid=11), line(20, "end"), line(20, "end", pid=11))
    assert [found.ns for found in overlaps(log.refresh())] == [10 * MS]


def test_the_same_time_on_two_devices_is_no_overlap(tmp_path: Path) -> None:
    """A run that was given to another follower may still run at the first one for a while: nobody shares a device."""
    log = log_of(tmp_path, line(0, "begin"), line(5, "begin", device="f2/cpu", pid=11), line(9, "end"))
    assert overlaps(log.refresh()) == []


def test_a_lock_that_was_found_taken_is_an_overlap_that_no_stamp_shows(tmp_path: Path) -> None:
    """The one before gave no sign of life any more, frozen perhaps, and was still there: the kernel knew."""
    log = log_of(
        tmp_path,
        line(0, "begin"),
        line(10, "alive"),
        line(20, "begin", run="j-2.0", pid=11),
        line(20, "contended", run="j-2.0", pid=11),
        line(27, "hold", run="j-2.0", pid=11),
    )
    (found,) = overlaps(log.refresh())
    assert (found.ns, found.earlier) == (7 * MS, None)


def test_a_lock_that_was_never_got_is_an_overlap_too(tmp_path: Path) -> None:
    """It counts as long as it was seen; more than nothing, even at a single look."""
    log = log_of(tmp_path, line(20, "begin"), line(20, "contended"))
    assert [found.ns > 0 for found in overlaps(log.refresh())] == [True]
    log = log_of(tmp_path, line(20, "begin"), line(20, "contended"), line(90, "contended"))
    assert [found.ns for found in overlaps(log.refresh())] == [70 * MS]


def test_the_log_is_read_as_it_grows_and_only_in_whole_lines(tmp_path: Path) -> None:
    """Half a line is left for the next look."""
    log = log_of(tmp_path, line(0, "begin"))
    whole = line(30, "end") + "\n"
    with log.path.open("a") as file:
        file.write(whole[:9])
        file.flush()
        assert [stay.ended for stay in log.refresh()] == [False]
        file.write(whole[9:])
    (stay,) = log.refresh()
    assert (stay.ended, stay.begin_ns, stay.last_ns) == (True, 0, 30 * MS)


def test_a_log_that_nobody_wrote_is_empty(tmp_path: Path) -> None:
    """Before the first attempt there is no file."""
    assert OccupancyLog(tmp_path / "stamps").refresh() == []


@pytest.mark.parametrize("deed", attempt.DEEDS)
def test_a_script_survives_the_way_through_the_model_seed(deed: str) -> None:
    """To the millisecond."""
    assert attempt.script_of(attempt.seed_of(deed, 1.234)) == (deed, 1.234)


def start(folder: Path, run: str, deed: str, duration_s: float) -> subprocess.Popen[bytes]:
    """A scripted attempt of its own, as an agent would start it on f1/cpu."""
    root = folder / run
    root.mkdir()
    given = assignment(run)
    model = {"generate": {"family": "fc", "seed": attempt.seed_of(deed, duration_s)}}
    given = given.model_copy(update={"spec": given.spec.model_validate({**given.spec.model_dump(), "model": model})})
    order = AttemptOrder(
        follower="f1", incarnation="i", slot=slot(), inventory=inventory(), assignment=given, leader_url="http://x",
        token_file=folder, cache_dir=folder, max_cache_bytes=0, preflight="off", max_busy_share=0.5,
        invalid_busy_share=0.5,
    )  # fmt: skip
    (root / "assignment.json").write_text(order.model_dump_json())
    argv = [sys.executable, "-I", "-S", attempt.__file__, folder / "stamps", folder, folder / "record", root]
    return subprocess.Popen([str(part) for part in argv], stdout=subprocess.DEVNULL)


def test_a_real_attempt_that_ends_by_itself_says_so_and_leaves_nobody(tmp_path: Path) -> None:
    """Begin, hold, end; the child is gone; the outcome is there."""
    process = start(tmp_path, "j-1.0", "fail", 0.3)
    assert process.wait(10) == 0
    (stay,) = OccupancyLog(tmp_path / "stamps").refresh()
    assert stay.ended
    assert stay.last_ns - stay.begin_ns >= 0.3e9
    assert (tmp_path / "j-1.0" / "outcome.json").exists()
    assert len(stay.pids) == 2
    for pid in stay.pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_a_second_attempt_beside_the_child_of_a_killed_one_is_caught_by_the_kernel(tmp_path: Path) -> None:
    """The child that outlived the attempt holds the device; the second attempt waits for it and has told so."""
    log = OccupancyLog(tmp_path / "stamps")
    first = start(tmp_path, "j-1.0", "succeed", 60)
    child = wait_for_child(log)
    first.kill()
    first.wait()
    second = start(tmp_path, "j-2.0", "fail", 0.1)
    deadline = time.monotonic() + 10
    while not any(stay.contended for stay in log.refresh()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.kill(child, 9)
    assert second.wait(10) == 0
    assert sum(found.ns for found in overlaps(log.refresh())) > 0


def wait_for_child(log: OccupancyLog) -> int:
    """The process number of the first attempt's child, once it has given a sign of life."""
    deadline = time.monotonic() + 10
    while True:
        children = [pid for stay in log.refresh() for pid in stay.pids - {stay.occupant.pid}]
        if children:
            return children[0]
        assert time.monotonic() < deadline
        time.sleep(0.02)
