"""When the tests of links may be skipped: a machine that could carry them and does not fails under CI."""

from pathlib import Path

import pytest
from support.links import require_tun


def test_a_machine_that_cannot_have_a_device_skips_even_under_ci(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Without root, or without the kernel's file; each with its reason."""
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.skip.Exception, match="root"):
        require_tun(is_root=False, device=tmp_path, why_not="not permitted")
    with pytest.raises(pytest.skip.Exception, match="no-such"):
        require_tun(is_root=True, device=tmp_path / "no-such", why_not="not there")


def test_a_machine_that_could_and_does_not_fails_under_ci_and_skips_elsewhere(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """With the reason that the follower gives."""
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="/proc/sys is read-only"):
        require_tun(is_root=True, device=tmp_path, why_not="/proc/sys is read-only")
    monkeypatch.delenv("CI")
    with pytest.raises(pytest.skip.Exception, match="/proc/sys is read-only"):
        require_tun(is_root=True, device=tmp_path, why_not="/proc/sys is read-only")


def test_a_machine_that_has_one_runs_the_tests(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """With CI and without."""
    require_tun(is_root=True, device=tmp_path, why_not=None)
    monkeypatch.setenv("CI", "true")
    require_tun(is_root=True, device=tmp_path, why_not=None)
