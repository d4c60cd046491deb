"""What README and docs/ show is run: every job file is read, every command and every program is executed.

A fence's language decides: ``yaml`` is a job file, ``sh`` runs against a live stack, ``python`` is a program,
``make`` names targets that tests/architecture looks up, ``text`` and ``json`` are output and are not run, and the
metrics that ``promql`` asks for are among those that the leader exports.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from support.running_stack import ROOT, RunningStack

from shared.jobs.document import read_job

PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```$", flags=re.MULTILINE | re.DOTALL)
KNOWN = {"yaml", "sh", "python", "make", "text", "json", "http", "toml", "promql"}
BLOCKS = [
    pytest.param(language, body, id=f"{page.relative_to(ROOT)}:{page.read_text()[: match.start()].count(chr(10)) + 1}")
    for page in PAGES
    for match in FENCE.finditer(page.read_text())
    for language, body in [(match[1], match[2])]
    if language or "──" not in body
]


def blocks(language: str) -> list[object]:
    """The fenced blocks of one language."""
    return [block for block in BLOCKS if block.values[0] == language]


def test_every_block_says_what_it_is() -> None:
    """A block without a language, or with one nobody handles, could rot unseen."""
    assert [block.id for block in BLOCKS if block.values[0] not in KNOWN] == []


@pytest.mark.parametrize(("language", "body"), blocks("yaml"))
def test_job_files_shown_are_valid(language: str, body: str) -> None:
    """A job file in a page passes the reader that the leader uses."""
    assert read_job(body).name, language


@pytest.mark.parametrize(("language", "body"), blocks("sh"))
def test_commands_shown_work(stack: RunningStack, tmp_path: Path, language: str, body: str) -> None:
    """A command in a page succeeds against the running stack, from the root of the project."""
    assert language == "sh"
    (tmp_path / ".inferbench").symlink_to(stack.data_dir)
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    script = body.replace("http://127.0.0.1:8080", stack.url)
    environment = {
        **os.environ,  # noqa: TID251 - the shell of a user has PATH and HOME
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",  # noqa: TID251 - the same
    }
    ran = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.parametrize(("language", "body"), blocks("python"))
def test_programs_shown_run(tmp_path: Path, language: str, body: str) -> None:
    """A Python block in a page runs as it stands."""
    assert language == "python"
    ran = subprocess.run([sys.executable, "-c", body], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
