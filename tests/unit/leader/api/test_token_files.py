"""The first tokens' files: private, made once, never half-written."""

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from leader.auth.roles import Role
from leader.auth.token_files import load_or_create, token_path
from leader.auth.tokens import is_well_formed
from shared.errors import InvalidInput


def test_a_missing_file_is_made_for_its_owner_only(tmp_path: Path) -> None:
    """Mode 0600, in a directory that is made too."""
    token = load_or_create(tmp_path / "new", Role.ADMIN)
    path = token_path(tmp_path / "new", Role.ADMIN)
    assert is_well_formed(token, Role.ADMIN)
    assert path.read_text() == token + "\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_an_existing_file_is_read_and_not_replaced(tmp_path: Path) -> None:
    """A restart keeps everybody's token working."""
    assert load_or_create(tmp_path, Role.FOLLOWER) == load_or_create(tmp_path, Role.FOLLOWER)


def test_two_leaders_at_once_agree_on_one_token_and_leave_nothing_else(tmp_path: Path) -> None:
    """The first one wins, the other reads; no temporary file stays."""
    with ThreadPoolExecutor(8) as pool:
        tokens = set(pool.map(lambda _: load_or_create(tmp_path, Role.ADMIN), range(16)))
    assert len(tokens) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["admin.token"]


def test_a_file_with_another_roles_token_is_refused(tmp_path: Path) -> None:
    """A follower token in admin.token is a mistake, not an admin."""
    token_path(tmp_path, Role.ADMIN).write_text(load_or_create(tmp_path / "other", Role.FOLLOWER))
    with pytest.raises(InvalidInput, match=r"admin\.token holds no admin token; delete it"):
        load_or_create(tmp_path, Role.ADMIN)


@pytest.mark.parametrize("content", [b"", b"hello", b"\xff\xfe\x00"])
def test_a_damaged_file_is_refused(tmp_path: Path, content: bytes) -> None:
    """The message names the file."""
    token_path(tmp_path, Role.ADMIN).write_bytes(content)
    with pytest.raises(InvalidInput, match=r"admin\.token"):
        load_or_create(tmp_path, Role.ADMIN)


def test_a_directory_that_cannot_be_made_is_one_clear_message(tmp_path: Path) -> None:
    """An operator's mistake is not a traceback."""
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidInput, match="cannot keep the admin token"):
        load_or_create(tmp_path / "file" / "tokens", Role.ADMIN)
