"""Before the first request: somebody must be able to get in, and nobody else."""

from pathlib import Path

import structlog

from leader.auth.roles import Role
from leader.auth.token_files import BOOTSTRAP_ROLES, load_or_create, token_path
from leader.auth.tokens import hash_token
from leader.perfdb.entities import Token
from leader.perfdb.protocol import TokenStore
from shared.clock import Clock
from shared.errors import InvalidInput

log = structlog.get_logger(__name__)


async def ensure_tokens(directory: Path, store: TokenStore, clock: Clock) -> None:
    """The store knows the admin and the follower token of ``directory``; missing files are made.

    Raises:
        InvalidInput: a file cannot be read, made, or holds something else.
        Unavailable: the store does not answer.
    """
    for role in BOOTSTRAP_ROLES:
        digest = hash_token(load_or_create(directory, role))
        if await store.find(digest) is None:
            await store.add(Token(sha256=digest, name=role, role=role, created_at=clock.utc_now()))
            log.info("token.registered", name=str(role), path=str(token_path(directory, role)))


async def refuse_unguarded(*, host: str, is_loopback: bool, store: TokenStore) -> None:
    """Do not listen to other machines while nobody could have been given a token.

    Raises:
        InvalidInput: the address is not loopback and no admin token exists.
    """
    if is_loopback or any(token.role == Role.ADMIN for token in await store.all()):
        return
    raise InvalidInput(
        f"refusing to listen on {host}: there is no admin token, so nobody could use the leader but everybody could "
        "try; set INFERBENCH_TOKEN_DIR to a directory for the token files, or INFERBENCH_HOST to 127.0.0.1"
    )
