"""The servers that every store must do its duty on."""

from collections.abc import AsyncIterator, Iterator

import pytest
from support.mongo_servers import MongoServer, running_mongo, server_names

from leader.perfdb.mongo import MongoPerfDB, connect
from model_repo.gridfs import GridFsBlobs


@pytest.fixture(scope="session", params=server_names())
def server(request: pytest.FixtureRequest) -> Iterator[MongoServer]:
    """The server under test."""
    with running_mongo(request.param) as running:
        yield running


@pytest.fixture
async def parts(server: MongoServer) -> AsyncIterator[tuple[MongoPerfDB, GridFsBlobs]]:
    """An empty, prepared database on it."""
    perfdb, blobs = connect(server.fresh_url())
    await perfdb.prepare()
    yield perfdb, blobs
    await perfdb.close()


@pytest.fixture
def db(parts: tuple[MongoPerfDB, GridFsBlobs]) -> MongoPerfDB:
    """Its documents."""
    return parts[0]


@pytest.fixture
def blobs(parts: tuple[MongoPerfDB, GridFsBlobs]) -> GridFsBlobs:
    """Its bytes."""
    return parts[1]
