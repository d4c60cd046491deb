"""A model's file in the page cache, and out of it, by what the kernel says."""

import os
from pathlib import Path

import pytest

from follower.attempt.page_cache import cached_share, put

MIB = 1 << 20


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A file that was just written, and so lies in memory."""
    path = tmp_path / "model.onnx"
    path.write_bytes(os.urandom(2 * MIB))
    return path


def told(model: Path) -> float:
    """What the kernel says; not every one does."""
    share = cached_share(model)
    if share is None:
        pytest.skip("this kernel does not tell what is in the page cache")
    return share


def test_a_file_that_was_read_is_in_the_page_cache(model: Path) -> None:
    """All of it."""
    put(model, "warm")
    assert told(model) == 1.0


def test_a_file_that_was_dropped_is_not(model: Path) -> None:
    """Its unwritten pages are written first, or they would stay."""
    put(model, "cold")
    if told(model) == 1.0 and _is_in_memory(model):
        pytest.skip("the temporary folder is a file system in memory")
    assert told(model) == 0.0


def test_a_model_that_is_a_folder_counts_as_its_files(model: Path) -> None:
    """A SavedModel is one."""
    (model.parent / "variables").mkdir()
    (model.parent / "variables" / "data").write_bytes(b"x" * MIB)
    put(model.parent, "warm")
    assert told(model.parent) == 1.0


def test_an_empty_folder_has_no_share(tmp_path: Path) -> None:
    """Nothing over nothing."""
    assert cached_share(tmp_path) is None


def _is_in_memory(path: Path) -> bool:
    mounts = [line.split()[1:3] for line in Path("/proc/mounts").read_text().splitlines()]
    below = [(where, kind) for where, kind in mounts if path.is_relative_to(where)]
    return max(below, key=lambda mount: len(mount[0]))[1] in {"tmpfs", "ramfs"}
