"""What the store of tokens owes to those who give them out, on every server that we claim to run on."""

import asyncio
from dataclasses import replace

import pytest
from support.stored_runs import T0

from leader.perfdb import documents, schema
from leader.perfdb.entities import Token
from leader.perfdb.mongo import MongoPerfDB
from shared.errors import Conflict

TOKEN = Token(sha256="1" * 64, name="lab-2", role="follower", follower="host-2", created_at=T0)


async def test_a_new_token_never_takes_the_place_of_another(db: MongoPerfDB) -> None:
    """Of many with one name, one is stored; the rest are told."""
    contenders = [replace(TOKEN, sha256=f"{number:064x}") for number in range(8)]
    ends = await asyncio.gather(*map(db.tokens.create, contenders), return_exceptions=True)
    assert [type(end) for end in ends].count(Conflict) == 7
    (kept,) = await db.tokens.all()
    assert kept == contenders[ends.index(None)]
    with pytest.raises(Conflict, match="lab-2"):
        await db.tokens.create(TOKEN)


async def test_a_tokens_follower_comes_back(db: MongoPerfDB) -> None:
    """And a name can be used again once it was removed."""
    await db.tokens.create(TOKEN)
    assert await db.tokens.find(TOKEN.sha256) == TOKEN
    await db.tokens.remove(TOKEN.name)
    await db.tokens.create(replace(TOKEN, follower=None))
    assert await db.tokens.find(TOKEN.sha256) == replace(TOKEN, follower=None)


async def test_a_token_from_before_tokens_were_bound_speaks_for_any(db: MongoPerfDB) -> None:
    """Its document lacks the field."""
    old = documents.token_to_document(TOKEN)
    del old["follower"]
    await db._database[schema.TOKENS].insert_one(old)
    assert await db.tokens.find(TOKEN.sha256) == replace(TOKEN, follower=None)
