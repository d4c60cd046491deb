"""A log that a talkative server cannot fill the disk with."""

from pathlib import Path

from follower.serve.launch.log import CappedLog, tail


def test_a_log_keeps_its_end_and_no_more_than_twice_its_cap(tmp_path: Path) -> None:
    """What explains a failure stands last."""
    log = CappedLog(tmp_path / "log", max_bytes=1_000)
    for number in range(1_000):
        log.write(b"line %d\n" % number)
    log.close()
    assert tail(tmp_path / "log").endswith("line 998\nline 999")
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 2_000
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log", "log.1"]


def test_a_short_log_is_one_file_that_can_be_read_at_once(tmp_path: Path) -> None:
    """Each piece is there as soon as it is written; an older log is gone on with."""
    (tmp_path / "log").write_text("before\n")
    log = CappedLog(tmp_path / "log")
    log.write(b"now\n")
    assert tail(tmp_path / "log") == "before\nnow"
    log.close()
