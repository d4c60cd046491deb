"""The servers that every store must do its duty on, and the stand-in in memory that simulations trust."""

from collections.abc import AsyncIterator, Iterator

import pytest
from simulation.blobs import MemoryBlobs
from simulation.memory import MemoryStore, OpenGate, perfdb_on
from support.mongo_servers import MongoServer, running_mongo, server_names

from leader.perfdb.mongo import MongoPerfDB, connect
from model_repo.gridfs import GridFsBlobs

IN_MEMORY = "memory"


@pytest.fixture(scope="session", params=[*server_names(), IN_MEMORY])
def server(request: pytest.FixtureRequest) -> Iterator[MongoServer | None]:
    """The server under test; None stands for the one in memory."""
    if request.param == IN_MEMORY:
        yield None
        return
    with running_mongo(request.param) as running:
        yield running


@pytest.fixture
async def parts(server: MongoServer | None) -> AsyncIterator[tuple[MongoPerfDB, GridFsBlobs | MemoryBlobs]]:
    """An empty, prepared database on it."""
    perfdb: MongoPerfDB
    blobs: GridFsBlobs | MemoryBlobs
    if server is None:
        perfdb, blobs = perfdb_on(MemoryStore(), OpenGate()), MemoryBlobs({}, OpenGate())
    else:
        perfdb, blobs = connect(server.fresh_url())
    await perfdb.prepare()
    yield perfdb, blobs
    await perfdb.close()


@pytest.fixture
def db(parts: tuple[MongoPerfDB, GridFsBlobs | MemoryBlobs]) -> MongoPerfDB:
    """Its documents."""
    return parts[0]


@pytest.fixture
def blobs(parts: tuple[MongoPerfDB, GridFsBlobs | MemoryBlobs]) -> GridFsBlobs | MemoryBlobs:
    """Its bytes."""
    return parts[1]
