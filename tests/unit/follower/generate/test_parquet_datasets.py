"""Uploaded datasets: what a good file gives, and what is said of a bad one."""

from pathlib import Path
from typing import Any

import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]
import pytest

from follower.generate.datasets import parquet
from follower.generate.datasets.dataset import Sample
from follower.generate.datasets.parquet import load_parquet
from shared.errors import InvalidInput, TooLarge


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the uploaded file lies."""
    return tmp_path / "data.parquet"


def write(path: Path, **columns: Any) -> None:
    """A Parquet file of these columns."""
    pq.write_table(pa.table(columns), path)


def test_rows_become_samples_in_order(path: Path) -> None:
    """Names, bytes and labels come out as they went in; a label may be missing."""
    write(path, name=["a", "b"], data=[b"\x00\xff", b""], label=["cat", None])
    dataset = load_parquet(path, name="pets", version=3)
    assert (dataset.name, dataset.version) == ("pets", 3)
    assert dataset.samples == (Sample("a", b"\x00\xff", "cat"), Sample("b", b"", None))


def test_other_writers_types_are_accepted(path: Path) -> None:
    """64-bit strings, a label column without any value, and another order of columns."""
    write(
        path,
        label=pa.nulls(1),
        data=pa.array([b"x"], pa.large_binary()),
        name=pa.array(["a"], pa.large_string()),
    )
    assert load_parquet(path, name="d", version=1).samples == (Sample("a", b"x", None),)


def test_more_rows_than_one_batch_keep_their_order(path: Path) -> None:
    """Reading in batches is invisible."""
    names = [str(index) for index in range(200)]
    write(path, name=names, data=[name.encode() for name in names], label=names)
    assert [sample.label for sample in load_parquet(path, name="d", version=1).samples] == names


def test_wrong_columns_are_all_named(path: Path) -> None:
    """A misspelt column is missing and unknown; a column of numbers says what it should be."""
    write(path, name=[1], image=[b"x"], label=["a"])
    with pytest.raises(InvalidInput) as caught:
        load_parquet(path, name="d", version=1)
    found = {problem.path: problem for problem in caught.value.problems}
    assert set(found) == {"name", "data", "image"}
    assert (found["name"].found, found["name"].allowed) == ("int64", "string")
    assert found["data"].found is None
    assert found["image"].allowed == "name, data, label"


def test_gaps_and_emptiness_are_refused(path: Path) -> None:
    """Every sample has a name and bytes, and there is at least one."""
    write(path, name=["a", None], data=[b"x", b"y"], label=["a", "b"])
    with pytest.raises(InvalidInput, match="without name or data"):
        load_parquet(path, name="d", version=1)
    write(path, name=pa.array([], pa.string()), data=pa.array([], pa.binary()), label=pa.array([], pa.string()))
    with pytest.raises(InvalidInput, match="holds no samples"):
        load_parquet(path, name="d", version=1)


def test_what_is_not_parquet_is_refused(path: Path) -> None:
    """Another format, an empty file, and a file cut in its data or its footer."""
    write(path, name=["a"] * 50, data=[bytes(range(250))] * 50, label=["b"] * 50)
    whole = path.read_bytes()
    for content in (b"", b"name,data\n", whole[:-20], whole[: len(whole) // 2], b"PAR1" + bytes(50) + b"PAR1"):
        path.write_bytes(content)
        with pytest.raises(InvalidInput):
            load_parquet(path, name="d", version=1)


def test_a_file_that_unpacks_to_too_much_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A small file of many equal rows is stopped by what it becomes."""
    write(path, name=["a"] * 5000, data=[bytes(1000)] * 5000, label=["a"] * 5000)
    assert path.stat().st_size < 50_000
    monkeypatch.setattr(parquet, "MAX_BYTES", 1_000_000)
    with pytest.raises(TooLarge, match="more than 1000000 bytes"):
        load_parquet(path, name="d", version=1)
