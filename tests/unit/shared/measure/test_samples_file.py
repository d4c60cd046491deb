"""The raw file: what goes in comes out, and what is no raw file is refused."""

from io import BytesIO
from pathlib import Path

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]
import pytest
from support.raw_files import raw_samples

from shared.errors import InvalidInput
from shared.measure.columns import COLUMNS
from shared.measure.samples_file import SCHEMA, read_samples, write_samples

SAMPLES = raw_samples()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A whole raw file."""
    write_samples(SAMPLES.columns, SAMPLES.manifest, tmp_path / "raw.parquet")
    return tmp_path / "raw.parquet"


def test_columns_and_manifest_come_back(path: Path) -> None:
    """Every value, every type, every fact."""
    back = read_samples(path)
    assert back.manifest == SAMPLES.manifest
    assert {name: column.dtype.name for name, column in back.columns.items()} == COLUMNS
    for name, column in SAMPLES.columns.items():
        assert np.array_equal(back.columns[name], column), name


def test_a_download_is_read_without_a_file(path: Path) -> None:
    """From bytes as from a path."""
    assert read_samples(BytesIO(path.read_bytes())).manifest == SAMPLES.manifest


def test_a_run_cut_short_has_no_manifest(tmp_path: Path) -> None:
    """The columns are kept all the same."""
    write_samples(SAMPLES.columns, None, tmp_path / "cut.parquet")
    back = read_samples(tmp_path / "cut.parquet")
    assert back.manifest is None
    assert len(back.columns["due_ns"]) == len(SAMPLES.columns["due_ns"])


def test_a_run_without_requests_is_a_file(tmp_path: Path) -> None:
    """Nothing sent is a fact, too."""
    write_samples({name: np.zeros(0, kind) for name, kind in COLUMNS.items()}, None, tmp_path / "none.parquet")
    assert {len(column) for column in read_samples(tmp_path / "none.parquet").columns.values()} == {0}


def test_other_tools_can_read_the_columns(path: Path) -> None:
    """It is plain Parquet: names and integers, no nulls."""
    table = pq.read_table(path)
    assert table.column_names == list(COLUMNS)
    assert table.num_rows == len(SAMPLES.columns["due_ns"])


def test_the_order_of_the_columns_given_does_not_matter_in_the_file(tmp_path: Path) -> None:
    """The file has the schema's order."""
    with pytest.raises(InvalidInput):
        write_samples({}, None, tmp_path / "empty.parquet")
    backwards = dict(reversed(SAMPLES.columns.items()))
    write_samples(backwards, None, tmp_path / "backwards.parquet")
    assert pq.read_table(tmp_path / "backwards.parquet").column_names == list(COLUMNS)


def test_a_missing_an_unknown_and_a_wrong_column_are_refused(tmp_path: Path) -> None:
    """Before anything is written."""
    less = {name: column for name, column in SAMPLES.columns.items() if name != "wire_ns"}
    more = {**SAMPLES.columns, "colour": SAMPLES.columns["status"]}
    other = {**SAMPLES.columns, "status": SAMPLES.columns["status"].astype(np.int64)}
    for columns in (less, more, other):
        with pytest.raises(InvalidInput, match="must have the columns"):
            write_samples(columns, None, tmp_path / "wrong.parquet")
    assert list(tmp_path.iterdir()) == []


def test_the_file_appears_whole(tmp_path: Path) -> None:
    """Nothing else is left in the folder, and an older file is replaced."""
    path = tmp_path / "raw.parquet"
    path.write_bytes(b"old")
    write_samples(SAMPLES.columns, SAMPLES.manifest, path)
    assert [file.name for file in tmp_path.iterdir()] == ["raw.parquet"]
    assert read_samples(path).manifest == SAMPLES.manifest


def test_foreign_parquet_is_refused(tmp_path: Path) -> None:
    """A table of something else, and one that lacks a column of ours."""
    pq.write_table(pa.table({"city": ["Rome"], "people": [3]}), tmp_path / "foreign.parquet")
    with pytest.raises(InvalidInput, match="must have the columns"):
        read_samples(tmp_path / "foreign.parquet")
    less = pa.table({name: column for name, column in SAMPLES.columns.items() if name != "due_ns"})
    pq.write_table(less, tmp_path / "less.parquet")
    with pytest.raises(InvalidInput, match="must have the columns"):
        read_samples(tmp_path / "less.parquet")


def test_a_file_from_before_the_servers_pipeline_is_read(tmp_path: Path) -> None:
    """What its columns would hold was not observed; the rest, the manifest too, is as it was."""
    manifest = pq.read_schema(_written(tmp_path / "now.parquet")).metadata
    older = pa.schema([field for field in SCHEMA if not field.name.startswith(("server_p", "setup"))])
    rows = {name: SAMPLES.columns[name] for name in older.names}
    pq.write_table(pa.table(rows, schema=older.with_metadata(manifest)), tmp_path / "older.parquet")
    found = read_samples(tmp_path / "older.parquet")
    assert set(found.columns["server_preprocess_ns"].tolist()) == {-1}
    assert set(found.columns["server_postprocess_ns"].tolist()) == {-1}
    assert found.manifest == SAMPLES.manifest
    assert all((found.columns[name] == column).all() for name, column in rows.items())


def test_a_file_from_before_set_ups_were_told_apart_is_read(tmp_path: Path) -> None:
    """It has the columns of the server's pipeline already, and keeps what they hold."""
    older = pa.schema([field for field in SCHEMA if field.name != "setup_ns"])
    columns = {**SAMPLES.columns, "server_preprocess_ns": np.full_like(SAMPLES.columns["due_ns"], 7)}
    pq.write_table(pa.table({name: columns[name] for name in older.names}, schema=older), tmp_path / "older.parquet")
    found = read_samples(tmp_path / "older.parquet")
    assert set(found.columns["setup_ns"].tolist()) == {-1}
    assert set(found.columns["server_preprocess_ns"].tolist()) == {7}


def _written(path: Path) -> Path:
    write_samples(SAMPLES.columns, SAMPLES.manifest, path)
    return path


def test_nullable_columns_are_refused(tmp_path: Path) -> None:
    """A missing value has a number of its own here; a null would become another one unseen."""
    schema = pa.schema([field.with_nullable(True) for field in SCHEMA])
    rows = {name: pa.array([None, 1], field.type) for name, field in zip(COLUMNS, schema, strict=True)}
    pq.write_table(pa.table(rows, schema=schema), tmp_path / "nulls.parquet")
    with pytest.raises(InvalidInput, match="must have the columns"):
        read_samples(tmp_path / "nulls.parquet")


@pytest.mark.parametrize("content", [b"", b"PAR1", b"no table at all" * 10], ids=["empty", "magic", "text"])
def test_what_is_no_parquet_is_refused(tmp_path: Path, content: bytes) -> None:
    """Whatever the bytes."""
    (tmp_path / "raw.parquet").write_bytes(content)
    with pytest.raises(InvalidInput, match="not a samples file"):
        read_samples(tmp_path / "raw.parquet")


def test_a_file_cut_in_the_middle_is_refused(path: Path) -> None:
    """A download that broke off."""
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InvalidInput, match="not a samples file"):
        read_samples(path)


def test_no_file_is_refused(tmp_path: Path) -> None:
    """With the path in the message."""
    with pytest.raises(InvalidInput, match=r"gone\.parquet"):
        read_samples(tmp_path / "gone.parquet")


@pytest.mark.parametrize(
    "manifest", [b"{", b"{}", b'{"run_id": 3}', b"\xff\xfe"], ids=["cut", "empty", "wrong", "bytes"]
)
def test_a_broken_manifest_is_refused(tmp_path: Path, manifest: bytes) -> None:
    """The columns alone would be taken for another run's."""
    schema = SCHEMA.with_metadata({b"inferbench.manifest": manifest})
    pq.write_table(pa.table(dict(SAMPLES.columns), schema=schema), tmp_path / "broken.parquet")
    with pytest.raises(InvalidInput, match="manifest of the samples cannot be read"):
        read_samples(tmp_path / "broken.parquet")


def test_a_manifest_of_a_later_version_is_refused(tmp_path: Path) -> None:
    """A fact that this version does not know might change what the figures mean."""
    assert SAMPLES.manifest is not None
    later = {**SAMPLES.manifest.model_dump(mode="json"), "moon": "full"}
    schema = SCHEMA.with_metadata({"inferbench.manifest": str(later).replace("'", '"').replace("None", "null")})
    pq.write_table(pa.table(dict(SAMPLES.columns), schema=schema), tmp_path / "later.parquet")
    with pytest.raises(InvalidInput, match="cannot be read"):
        read_samples(tmp_path / "later.parquet")
