"""The first tokens: files that only their owner can read, made once and never overwritten."""

import os
import secrets
from pathlib import Path
from typing import Final

from leader.auth.roles import Role
from leader.auth.tokens import is_well_formed, mint
from shared.errors import InvalidInput

BOOTSTRAP_ROLES: Final = (Role.ADMIN, Role.FOLLOWER)
_OWNER_ONLY: Final = 0o600


def token_path(directory: Path, role: Role) -> Path:
    """Where the bootstrap token of ``role`` stands."""
    return directory / f"{role}.token"


def load_or_create(directory: Path, role: Role) -> str:
    """The token of ``role`` in ``directory``; the file (0600) is made if it is missing.

    Raises:
        InvalidInput: the file holds no token of this role, or the directory cannot be written.
    """
    path = token_path(directory, role)
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not path.exists():
            _publish(path, mint(role))
        token = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"cannot keep the {role} token in {path}: {error}") from error
    if not is_well_formed(token, role):
        raise InvalidInput(f"{path} holds no {role} token; delete it and a new one is made")
    return token


def _publish(path: Path, token: str) -> None:
    """Write aside, then link: a reader sees the whole token or none, and of two leaders the first one wins."""
    aside = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(aside, os.O_CREAT | os.O_EXCL | os.O_WRONLY, _OWNER_ONLY)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(token + "\n")
            file.flush()
            os.fsync(file.fileno())
        path.hardlink_to(aside)
    except FileExistsError:
        return  # another leader was first; its token counts
    finally:
        aside.unlink()
