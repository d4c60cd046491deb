"""A dataset: named samples, what they should be recognised as, and a digest of all of it."""

import hashlib
from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True)
class Sample:
    """One payload; ``label`` is the right answer where one is known."""

    name: str
    data: bytes
    label: str | None


@dataclass(frozen=True)
class Dataset:
    """Samples in a fixed order."""

    name: str
    version: int
    samples: tuple[Sample, ...]

    @cached_property
    def sha256(self) -> str:
        """Digest of the samples' names, bytes and labels in order, each with its length before it."""
        digest = hashlib.sha256()
        for sample in self.samples:
            label = None if sample.label is None else sample.label.encode()
            for part in (sample.name.encode(), sample.data, label):
                digest.update(b"-" if part is None else b"%d:" % len(part))
                digest.update(part or b"")
        return digest.hexdigest()
