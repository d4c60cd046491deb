"""The pages on extending show code that runs."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PAGES = ["op", "dataset", "canonical-family"]


@pytest.mark.parametrize("name", PAGES)
def test_the_python_of_a_page_runs(name: str, tmp_path: Path) -> None:
    """Every Python block of the page runs by itself, in an empty folder, and its assertions hold."""
    blocks = re.findall(
        r"^```python\n(.*?)^```", (ROOT / f"docs/extending/{name}.md").read_text(), re.DOTALL | re.MULTILINE
    )
    assert blocks
    for block in blocks:
        finished = subprocess.run(
            [sys.executable, "-W", "error", "-c", block], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert finished.returncode == 0, finished.stderr
    assert not list(tmp_path.iterdir())
