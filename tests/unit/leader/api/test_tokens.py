"""Tokens: their form, their storage, who they say is calling."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from leader.auth.roles import GRANTS, Permission, Role, is_granted
from leader.auth.tokens import (
    Authenticator,
    Principal,
    bearer_token,
    hash_token,
    is_well_formed,
    mint,
    require_own,
)
from leader.perfdb.entities import Token
from shared.errors import Conflict, Forbidden, NotFound, Unauthenticated


class MovableClock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now_ns = 0

    def monotonic_ns(self) -> int:
        return self.now_ns

    def utc_now(self) -> datetime:
        return datetime(2030, 1, 1, tzinfo=UTC)


class TokensInMemory:
    """A token store that counts look-ups."""

    def __init__(self, *tokens: Token) -> None:
        self.tokens = {token.sha256: token for token in tokens}
        self.lookups = 0

    async def add(self, token: Token) -> None:
        self.tokens[token.sha256] = token

    async def create(self, token: Token) -> None:
        if any(known.name == token.name for known in self.tokens.values()):
            raise Conflict(token.name)
        await self.add(token)

    async def find(self, sha256: str) -> Token | None:
        self.lookups += 1
        return self.tokens.get(sha256)

    async def all(self) -> list[Token]:
        return list(self.tokens.values())

    async def remove(self, name: str) -> None:
        kept = {key: token for key, token in self.tokens.items() if token.name != name}
        if len(kept) == len(self.tokens):
            raise NotFound(name)
        self.tokens = kept


def stored(token: str, role: Role, name: str = "alice") -> Token:
    """What the store keeps of ``token``."""
    return Token(sha256=hash_token(token), name=name, role=role, created_at=datetime(2030, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize("role", list(Role))
def test_a_minted_token_has_the_documented_form(role: Role) -> None:
    """ib_<role>_ and 43 url-safe characters, never the same twice."""
    token = mint(role)
    assert token.startswith(f"ib_{role}_")
    assert len(token) == len(f"ib_{role}_") + 43
    assert is_well_formed(token, role)
    assert mint(role) != token


@pytest.mark.parametrize(
    "header",
    [None, "", "Bearer", "Bearer ", "Basic ib_admin_" + "a" * 43, "Bearer ib_admin_short", "Bearer ib_root_" + "a" * 43,
     "Bearer ib_admin_" + "a" * 43 + "\n" + "x", "Bearer " + "a" * 5000],
)  # fmt: skip
async def test_what_cannot_be_a_token_is_refused_without_asking_the_store(header: str | None) -> None:
    """Nonsense costs no look-up."""
    store = TokensInMemory()
    with pytest.raises(Unauthenticated):
        await Authenticator(store, MovableClock()).identify(header)
    assert store.lookups == 0


def test_the_scheme_may_be_written_in_any_case() -> None:
    """HTTP's auth schemes are case-insensitive."""
    token = mint(Role.VIEWER)
    assert bearer_token(f"bearer {token}") == token


async def test_the_role_is_the_stores_not_the_tokens_own_claim() -> None:
    """A token that calls itself admin has the role under which it was stored."""
    token = "ib_admin_" + "A" * 43
    principal = await Authenticator(TokensInMemory(stored(token, Role.VIEWER)), MovableClock()).identify(
        f"Bearer {token}"
    )
    assert principal == Principal("alice", Role.VIEWER)


async def test_an_unknown_token_is_refused_every_time() -> None:
    """Refusals are not remembered, so a token works as soon as it is stored."""
    store, token = TokensInMemory(), mint(Role.SUBMITTER)
    authenticator = Authenticator(store, MovableClock())
    with pytest.raises(Unauthenticated):
        await authenticator.identify(f"Bearer {token}")
    await store.add(stored(token, Role.SUBMITTER))
    assert (await authenticator.identify(f"Bearer {token}")).role is Role.SUBMITTER


async def test_a_good_token_is_remembered_for_five_seconds_only() -> None:
    """Polling costs no look-up, and a removed token stops working within seconds."""
    token = mint(Role.FOLLOWER)
    store, clock = TokensInMemory(stored(token, Role.FOLLOWER)), MovableClock()
    authenticator = Authenticator(store, clock)
    for _ in range(3):
        await authenticator.identify(f"Bearer {token}")
    assert store.lookups == 1
    await store.remove("alice")
    clock.now_ns += 5_000_000_001
    with pytest.raises(Unauthenticated):
        await authenticator.identify(f"Bearer {token}")


async def test_the_memory_of_tokens_is_bounded() -> None:
    """Many tokens cannot fill the leader's memory."""
    tokens = [mint(Role.VIEWER) for _ in range(1100)]
    store = TokensInMemory(*(stored(token, Role.VIEWER, name=str(i)) for i, token in enumerate(tokens)))
    authenticator = Authenticator(store, MovableClock())
    for token in tokens:
        await authenticator.identify(f"Bearer {token}")
    assert len(authenticator._known) <= 1024


def test_a_follower_can_do_nothing_but_follow() -> None:
    """Its token lies on machines that run strangers' models."""
    assert GRANTS[Role.FOLLOWER] == {Permission.FOLLOW}


def test_nobody_but_followers_and_admins_may_pose_as_a_follower() -> None:
    """A result cannot be forged with a person's token."""
    assert {role for role in Role if is_granted(role, Permission.FOLLOW)} == {Role.ADMIN, Role.FOLLOWER}


def test_a_viewer_changes_nothing() -> None:
    """Reading is all that a viewer may do."""
    assert {permission for permission in Permission if is_granted(Role.VIEWER, permission)} == {
        Permission.OPEN,
        Permission.READ,
    }


async def test_a_token_brings_its_follower_along() -> None:
    """What the store says it is bound to, the caller is bound to."""
    token = mint(Role.FOLLOWER)
    bound = replace(stored(token, Role.FOLLOWER), follower="f2")
    caller = await Authenticator(TokensInMemory(bound), MovableClock()).identify(f"Bearer {token}")
    require_own(caller, "f2")
    with pytest.raises(Forbidden, match="'f2'"):
        require_own(caller, "f1")


async def test_an_unbound_token_speaks_for_every_follower() -> None:
    """As the one of the first start does."""
    for name in ("f1", "f2"):
        require_own(Principal("follower", Role.FOLLOWER), name)
