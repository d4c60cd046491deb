"""A machine's cores serve one stack at a time."""

import subprocess
from pathlib import Path

import pytest
from support.running_stack import INFERBENCH, RunningStack


@pytest.mark.timeout(180)
@pytest.mark.parametrize("words", [("up", "--port", "0"), ("demo",)], ids=["up", "demo"])
def test_a_second_stack_on_the_machine_is_refused(
    stack: RunningStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    """Whatever its data folder: it ends with the name of who has the cores and of the setting; the first works on."""
    monkeypatch.setenv("INFERBENCH_SLOT_LOCK_DIR", str(stack.data_dir.parent / "slots"))
    (follower,) = [one for one in stack.get("/api/v1/followers")["items"] if one["name"] == "local"]
    core = follower["slots"][0]["server_cores"][0]
    ran = subprocess.run(
        [INFERBENCH, *words, "--data-dir", str(tmp_path / "data")],
        cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert ran.returncode == 1
    assert "follower ended with exit code 1 before it was ready" in ran.stderr
    assert f"slot 'cpu' needs core {core}" in ran.stderr
    assert "follower 'local', pid " in ran.stderr
    assert f"in {stack.data_dir / 'follower'}. Stop that one" in ran.stderr
    assert "INFERBENCH_SLOT_LOCK_DIR" in ran.stderr
    assert stack.get("/readyz")
