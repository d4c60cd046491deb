"""PerfDB in MongoDB (or what speaks its protocol)."""

from leader.perfdb.protocol import PerfDB
from model_repo.protocol import BlobStore


def connect(url: str, *, database: str = "inferbench") -> tuple[PerfDB, BlobStore]:
    """PerfDB and the blobs over one client; a database named in the URL wins. Nothing is sent yet.

    Raises:
        InvalidInput: the URL is not one of MongoDB.
    """
    raise NotImplementedError
