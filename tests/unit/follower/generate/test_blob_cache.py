"""Bytes kept by digest: fetched once, never trusted, thrown out oldest first."""

import errno
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from follower.generate import blob_cache
from follower.generate.blob_cache import BlobCache, Entry, to_evict
from shared.errors import AttemptFailed, NotFound, Unavailable
from shared.jobs.lifecycle import Cause
from shared.wire.assignment import BlobPin

CONTENT = b"a model" * 1000
DIGEST = hashlib.sha256(CONTENT).hexdigest()
PIN = BlobPin(name="m", version=1, sha256=DIGEST, size_bytes=len(CONTENT))


class Source:
    """A leader that sends what it is told to, one thing after the other."""

    def __init__(self, *sent: bytes | Exception) -> None:
        self.sent = list(sent)
        self.fetched = 0

    @contextmanager
    def fetch(self, _sha256: str) -> Iterator[Iterator[bytes]]:
        self.fetched += 1
        sent = self.sent.pop(0)
        if isinstance(sent, Exception):
            raise sent
        yield (sent[at : at + 1000] for at in range(0, len(sent), 1000))


@pytest.fixture(autouse=True)
def _without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Failures are tried again at once."""
    monkeypatch.setattr(blob_cache, "PAUSES_S", (0.0, 0.0, None))


def cache(root: Path, source: Source, max_bytes: int = 10**9) -> BlobCache:
    """A cache in ``root``/cache."""
    (root / "cache").mkdir(exist_ok=True)
    return BlobCache(root / "cache", max_bytes, source.fetch)


def test_bytes_are_fetched_once(tmp_path: Path) -> None:
    """The second run finds them."""
    source = Source(CONTENT)
    for name in ("one", "two"):
        cache(tmp_path, source).link(PIN, tmp_path / name)
        assert (tmp_path / name).read_bytes() == CONTENT
    assert source.fetched == 1


def test_a_flipped_bit_in_the_cache_is_noticed_and_mended(tmp_path: Path) -> None:
    """F26: nothing is served that does not have its digest."""
    source = Source(CONTENT, CONTENT)
    cache(tmp_path, source).link(PIN, tmp_path / "one")
    (tmp_path / "one").unlink()
    stored = tmp_path / "cache" / DIGEST
    stored.write_bytes(b"b" + CONTENT[1:])
    cache(tmp_path, source).link(PIN, tmp_path / "two")
    assert (tmp_path / "two").read_bytes() == stored.read_bytes() == CONTENT


@pytest.mark.parametrize("bad", [CONTENT[:-1], CONTENT + b"x", Unavailable("connection lost")])
def test_a_broken_transfer_is_tried_again(tmp_path: Path, bad: bytes | Exception) -> None:
    """Too short, too long, cut off: the next try counts."""
    source = Source(bad, CONTENT)
    cache(tmp_path, source).link(PIN, tmp_path / "one")
    assert (tmp_path / "one").read_bytes() == CONTENT
    assert sorted(path.name for path in (tmp_path / "cache").iterdir()) == [DIGEST]


@pytest.mark.parametrize(
    ("sent", "cause"),
    [
        ([NotFound("no such blob")], Cause.MODEL_UNAVAILABLE),
        ([Unavailable("away")] * 3, Cause.FOLLOWER_ERROR),
        ([OSError(errno.ENOSPC, "No space left on device")], Cause.DISK_FULL),
        ([OSError(errno.EROFS, "Read-only file system")], Cause.FOLLOWER_ERROR),
    ],
)
def test_what_cannot_be_had_has_a_cause(tmp_path: Path, sent: list[Exception], cause: Cause) -> None:
    """The run's own fault, the leader's absence, and a full disk (F25) are told apart."""
    with pytest.raises(AttemptFailed) as caught:
        cache(tmp_path, Source(*sent)).link(PIN, tmp_path / "one")
    assert caught.value.cause is cause
    assert list((tmp_path / "cache").iterdir()) == []


def test_the_oldest_go_when_there_is_too_much_and_links_stay_whole(tmp_path: Path) -> None:
    """A file that a run uses outlives its place in the cache."""
    other = b"another" * 1000
    pin = BlobPin(name="n", version=1, sha256=hashlib.sha256(other).hexdigest(), size_bytes=len(other))
    cache(tmp_path, Source(CONTENT)).link(PIN, tmp_path / "one")
    os.utime(tmp_path / "cache" / DIGEST, (0, 0))
    cache(tmp_path, Source(other), max_bytes=8_000).link(pin, tmp_path / "two")
    assert [path.name for path in (tmp_path / "cache").iterdir()] == [pin.sha256]
    assert (tmp_path / "one").read_bytes() == CONTENT


@given(
    st.lists(st.tuples(st.integers(1, 100), st.integers(0, 1000)), max_size=20, unique_by=lambda pair: pair[1]),
    st.integers(0, 500),
)
def test_what_stays_fits_and_is_the_newest(files: list[tuple[int, int]], limit: int) -> None:
    """Unless a single file is too large by itself, which stays because it is in use."""
    entries = [Entry(str(used), size, used) for size, used in files]
    evicted = set(to_evict(entries, limit))
    kept = [entry for entry in entries if entry.name not in evicted]
    assert sum(entry.size_bytes for entry in kept) <= limit or len(kept) == 1
    if entries:
        assert max(entries, key=lambda entry: entry.used_ns) in kept
