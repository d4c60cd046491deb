"""The end of a log."""

from pathlib import Path

from follower.serve.launch.log import tail


def test_a_short_log_is_returned_whole(tmp_path: Path) -> None:
    """Nothing is cut that need not be."""
    (tmp_path / "log").write_text("one\ntwo\n")
    assert tail(tmp_path / "log") == "one\ntwo"


def test_no_log_has_an_empty_tail(tmp_path: Path) -> None:
    """A server that never came to write is no error."""
    assert tail(tmp_path / "log") == ""


def test_only_the_last_lines_are_kept(tmp_path: Path) -> None:
    """Lines are limited in number."""
    (tmp_path / "log").write_text("\n".join(str(n) for n in range(100)))
    assert tail(tmp_path / "log", max_lines=3) == "97\n98\n99"


def test_a_huge_log_is_cut_at_a_line(tmp_path: Path) -> None:
    """Bytes are limited, and the line that the limit cuts is dropped."""
    (tmp_path / "log").write_text("a" * 50 + "\n" + "b" * 5 + "\n" + "c" * 5 + "\n")
    assert tail(tmp_path / "log", max_bytes=20) == "bbbbb\nccccc"


def test_one_endless_line_is_cut_in_its_middle(tmp_path: Path) -> None:
    """Where there is no line to cut at, the end of the line is better than nothing."""
    (tmp_path / "log").write_text("a" * 50 + "end")
    assert tail(tmp_path / "log", max_bytes=5) == "aaend"


def test_bytes_that_are_not_text_do_not_hide_the_rest(tmp_path: Path) -> None:
    """A broken character is replaced."""
    (tmp_path / "log").write_bytes(b"\xff\xfe\nlast line\n")
    assert tail(tmp_path / "log").endswith("last line")
