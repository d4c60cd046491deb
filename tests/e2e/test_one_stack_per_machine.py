"""A machine's cores serve one stack at a time, and a name one agent."""

import subprocess
import time
from pathlib import Path

import pytest
from support.running_stack import INFERBENCH, RunningStack, second_follower


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


@pytest.mark.timeout(180)
def test_a_second_agent_under_a_name_in_use_is_refused_and_its_own_restart_is_not(
    stack: RunningStack, tmp_path: Path
) -> None:
    """It ends with the reason; the first one works on, and after a SIGKILL has its name back at once."""

    def is_alive() -> bool:
        (follower,) = [one for one in stack.get("/api/v1/followers")["items"] if one["name"] == "twin"]
        return bool(follower["alive"])

    for folder in ("one", "other"):
        (tmp_path / folder).mkdir()
    said = tmp_path / "one" / "twin.log"
    with second_follower(stack, "twin", tmp_path / "one" / "work") as first:
        with second_follower(stack, "twin", tmp_path / "other" / "work") as other:
            assert other.wait(60) == 1
        assert "another agent, on host" in (tmp_path / "other" / "twin.log").read_text().splitlines()[-1]
        assert first.poll() is None
        assert is_alive()
        first.kill()
        first.wait(10)
    with second_follower(stack, "twin", tmp_path / "one" / "work") as again:
        deadline = time.monotonic() + 60
        while "registered" not in said.read_text():
            assert again.poll() is None, said.read_text()
            assert time.monotonic() < deadline, said.read_text()
            time.sleep(0.1)
        again.terminate()
        assert again.wait(30) == 0
    assert not is_alive()
