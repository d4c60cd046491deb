"""Tokens given out and taken away while the leader runs."""

from leader.auth.roles import Role
from leader.auth.tokens import hash_token, mint
from leader.perfdb.entities import Token
from leader.perfdb.protocol import TokenStore
from shared.clock import Clock
from shared.errors import Conflict, InvalidInput
from shared.wire.views import NewTokenView, TokenView


class Issuer:
    """Adds, lists and revokes. A token is shown once, and only its digest is kept."""

    def __init__(self, store: TokenStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def add(self, name: str, role: Role, follower: str | None = None) -> NewTokenView:
        """A new token.

        Raises:
            InvalidInput: a follower is named and the role is another one.
            Conflict: the name is taken.
        """
        if follower is not None and role is not Role.FOLLOWER:
            raise InvalidInput(f"only a token of the role follower speaks for one; this one is a {role}")
        secret = mint(role)
        made = Token(
            sha256=hash_token(secret), name=name, role=role, follower=follower, created_at=self._clock.utc_now()
        )
        await self._store.create(made)
        return NewTokenView(**token_view(made).model_dump(), token=secret)

    async def all(self) -> list[TokenView]:
        """By name."""
        return [token_view(token) for token in await self._store.all()]

    async def revoke(self, name: str) -> None:
        """It is refused within five seconds, as long as leaders remember it.

        Raises:
            NotFound: no such token.
            Conflict: nobody could give out tokens any more.
        """
        admins = [token.name for token in await self._store.all() if token.role == Role.ADMIN]
        if admins == [name]:
            raise Conflict(f"{name!r} is the last admin token; add another one first")
        await self._store.remove(name)


def token_view(token: Token) -> TokenView:
    """What may be shown of a token."""
    return TokenView(name=token.name, role=token.role, follower=token.follower, created_at=token.created_at)
