"""What the suite does where no container engine can be had."""

import pytest
from support import container_engine, engines


def test_without_root_the_reason_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is tried that cannot work."""
    monkeypatch.setattr(container_engine, "PATH", "/nonexistent")
    monkeypatch.setattr(container_engine, "answers", lambda: False)
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(container_engine.NoEngine, match="only root can install them"):
        container_engine.install()


@pytest.mark.parametrize(("ci", "expected"), [("true", pytest.fail.Exception), ("", pytest.skip.Exception)])
def test_a_missing_engine_skips_and_fails_in_ci(
    monkeypatch: pytest.MonkeyPatch, ci: str, expected: type[BaseException]
) -> None:
    """CI promises to have it."""
    monkeypatch.setenv("CI", ci)
    with pytest.raises(expected, match="no container engine"):
        engines.require(False, "no container engine")
    engines.require(True, "it is there")
