"""Raw files where the command line needs what is in them: downloaded for the moment, or from a path."""

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from cli.client import Client
from cli.downloads import digest_of, save
from shared.errors import NotFound
from shared.measure.record import Record
from shared.measure.samples_file import Samples, read_samples


@dataclass(frozen=True)
class RawFile:
    """A run's raw samples and the digest of the file that they came in."""

    samples: Samples
    sha256: str


def fetch_raw(client: Client, record: Record) -> RawFile:
    """The raw file of an accepted record, as the leader keeps it.

    Raises:
        NotFound: the leader has none.
        InvalidInput: what came is not a samples file.
    """
    with TemporaryDirectory(prefix="inferbench-") as folder:
        path = Path(folder) / f"{record.run_id}.parquet"
        try:
            save(client.samples(record.run_id, attempt=record.attempt), path)
        except NotFound as error:
            raise NotFound(f"the leader has no raw samples of {record.run_id}: {error.detail}") from error
        return read_raw(path)


def read_raw(path: Path) -> RawFile:
    """A raw file on this machine.

    Raises:
        InvalidInput: it cannot be read, or is not a samples file.
    """
    sha256 = digest_of(path).sha256
    return RawFile(read_samples(path), sha256)
