"""The page on adding a serving platform is true."""

import re
import subprocess
import sys
from pathlib import Path

from follower.serve.launch import exit_codes

PAGE = Path(__file__).parents[4] / "docs/extending/serving-platform.md"


def test_the_python_of_the_page_runs(tmp_path: Path) -> None:
    """Every block by itself, and its assertions hold."""
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    assert blocks
    for block in blocks:
        argv = [sys.executable, "-W", "error", "-c", block]
        ended = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)
        assert ended.returncode == 0, ended.stderr


def test_the_files_and_exit_codes_that_the_page_names_are_there() -> None:
    """A moved file or a changed number must not leave the page behind."""
    text = PAGE.read_text()
    files = re.findall(r"`((?:follower|shared|tests)/[\w/]+\.py)`", text)
    assert len(files) >= 5
    assert [name for name in files if not (PAGE.parents[2] / name).is_file()] == []
    assert f"exit status {exit_codes.MODEL_LOAD_FAILED}" in text
    assert f"exit status {exit_codes.OUT_OF_MEMORY}" in text
