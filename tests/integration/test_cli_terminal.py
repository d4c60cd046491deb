"""On a terminal there are colours and a bar; anywhere else there are lines."""

import os
import pty
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from support.records import JOB_ID, RUN_ID, event_view, job_view, record, run_view
from support.scripted_leader import ScriptedLeader, scripted_leader, token_file

from shared.wire.views import RecordView

COLOUR = re.compile(r"\x1b\[(?:1;)?3[0-9]m")
CURSOR = re.compile(r"\x1b\[\?25[lh]|\x1b\[2K|\x1b\[1A")


@pytest.fixture
def leader() -> Iterator[ScriptedLeader]:
    """A leader with one job that has ended well."""
    with scripted_leader() as running:
        running.answers("GET", f"/api/v1/jobs/{JOB_ID}", job_view(run_view()))
        running.answers("GET", f"/api/v1/runs/{RUN_ID}", run_view())
        running.tells(
            f"/api/v1/runs/{RUN_ID}/events",
            ("measuring", event_view("1.1", "measuring", "20 req/s")),
            ("succeeded", event_view("1.2", "succeeded")),
        )
        running.answers("GET", f"/api/v1/runs/{RUN_ID}/record", RecordView(run_id=RUN_ID, record=record()))
        yield running


def watched(leader: ScriptedLeader, folder: Path, environment: Mapping[str, str]) -> str:
    """What ``inferbench watch`` writes to a terminal of 120 columns."""
    master, terminal = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "cli", "--url", leader.url, "--token-file", str(token_file(folder)), "watch", JOB_ID],
        stdin=subprocess.DEVNULL, stdout=terminal, stderr=terminal, cwd=folder,
        env={"PATH": os.defpath, "TERM": "xterm-256color", "COLUMNS": "120", **environment},
    )  # fmt: skip
    os.close(terminal)
    written = b""
    while chunk := _read(master):
        written += chunk
    os.close(master)
    assert process.wait(timeout=30) == 0
    return written.decode()


def _read(master: int) -> bytes:
    """The next bytes; none when the other side has been closed, which Linux reports as an error."""
    try:
        return os.read(master, 65_536)
    except OSError:
        return b""


def test_a_terminal_gets_colours_and_a_bar(leader: ScriptedLeader, tmp_path: Path) -> None:
    """The bar goes when the job has ended; the story and the verdict stay."""
    written = watched(leader, tmp_path, {})
    assert COLOUR.search(written)
    assert CURSOR.search(written)
    assert "measuring         20 req/s" in written
    assert "throughput  offered 20.0" in written


def test_no_color_means_no_colour(leader: ScriptedLeader, tmp_path: Path) -> None:
    """NO_COLOR is honoured, on the bar as in the verdict."""
    assert not COLOUR.search(watched(leader, tmp_path, {"NO_COLOR": "1"}))


def test_a_pipe_gets_lines(leader: ScriptedLeader, tmp_path: Path) -> None:
    """No escape sequence at all where nobody looks."""
    ran = subprocess.run(
        [sys.executable, "-m", "cli", "--url", leader.url, "--token-file", str(token_file(tmp_path)), "watch", JOB_ID],
        capture_output=True, text=True, check=True, cwd=tmp_path,
    )  # fmt: skip
    assert "\x1b" not in ran.stdout + ran.stderr
    assert ran.stderr.splitlines() == ["+   0.0 s  measuring         20 req/s", "+   0.0 s  succeeded"]
