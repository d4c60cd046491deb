"""Bearer tokens: made here, shown once, stored only as a hash."""

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from typing import Final

from leader.auth.roles import Role
from leader.perfdb.protocol import TokenStore
from shared.clock import Clock
from shared.errors import Forbidden, Unauthenticated

_FORM: Final = re.compile(r"ib_(admin|submitter|viewer|follower)_[A-Za-z0-9_-]{43}")
_SECRET_BYTES: Final = 32  # 256 bits make 43 url-safe characters; a plain hash of them cannot be searched
_CACHE_NS: Final = 5_000_000_000
_CACHE_ENTRIES: Final = 1024


@dataclass(frozen=True)
class Principal:
    """Who speaks: the token's name, which owns the jobs submitted with it, and its role.

    ``follower``: the only follower that it may speak for; None for any.
    """

    name: str
    role: Role
    follower: str | None = None


def mint(role: Role) -> str:
    """A new token: the prefix lets people and secret scanners recognise it."""
    return f"ib_{role}_{secrets.token_urlsafe(_SECRET_BYTES)}"


def hash_token(token: str) -> str:
    """What is stored and looked up instead of the token."""
    return hashlib.sha256(token.encode()).hexdigest()


def is_well_formed(token: str, role: Role | None = None) -> bool:
    """Whether ``token`` has a token's form (and names ``role``)."""
    match = _FORM.fullmatch(token)
    return match is not None and role in (None, match[1])


def bearer_token(authorization: str | None) -> str:
    """The token of an Authorization header.

    Raises:
        Unauthenticated: there is none, or it cannot be one.
    """
    scheme, _, token = (authorization or "").partition(" ")
    if scheme.lower() != "bearer" or not is_well_formed(token.strip()):
        raise Unauthenticated("send the header 'Authorization: Bearer TOKEN' with a token of this leader")
    return token.strip()


def require_own(caller: Principal, follower: str) -> None:
    """Raises Forbidden where the caller's token belongs to another follower."""
    if caller.follower not in (None, follower):
        raise Forbidden(f"token {caller.name!r} speaks for follower {caller.follower!r} and for no other")


class Authenticator:
    """Header -> principal. Remembers good tokens for five seconds, so that polling does not cost the database."""

    def __init__(self, store: TokenStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._known: dict[str, tuple[int, Principal]] = {}

    async def identify(self, authorization: str | None) -> Principal:
        """Who sent this header.

        Raises:
            Unauthenticated: no token, or one that the store does not hold.
            Unavailable: the store does not answer.
        """
        digest = hash_token(bearer_token(authorization))
        now_ns = self._clock.monotonic_ns()
        remembered = self._known.get(digest)
        if remembered is not None and remembered[0] > now_ns:
            return remembered[1]
        stored = await self._store.find(digest)
        # What is compared is a hash of the secret, so that how long the look-up takes says nothing about it.
        if stored is None or not hmac.compare_digest(stored.sha256, digest):
            raise Unauthenticated("this leader does not know the token")
        principal = Principal(stored.name, Role(stored.role), stored.follower)
        self._remember(digest, now_ns + _CACHE_NS, principal)
        return principal

    def _remember(self, digest: str, until_ns: int, principal: Principal) -> None:
        if len(self._known) >= _CACHE_ENTRIES:
            self._known.clear()
        self._known[digest] = (until_ns, principal)
