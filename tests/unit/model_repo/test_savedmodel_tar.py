"""SavedModels as archives: packed and unpacked without loss, and no archive makes the reader do anything else."""

import io
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from follower.generate.models import UNPACK
from model_repo.format_checks import check_model
from model_repo.plain_tar import MAX_ENTRIES
from model_repo.savedmodel_tar import check_savedmodel, pack, unpack
from shared.errors import InvalidModel

CONTENT = {"saved_model.pb": b"graph", "variables/variables.index": b"index", "variables/variables.data": b"\0" * 1500}


def folder_of(path: Path) -> Path:
    """What looks like a SavedModel."""
    for name, data in CONTENT.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(data)
    (path / "assets").mkdir()
    return path


def archive(*members: tarfile.TarInfo, kind: int = tarfile.USTAR_FORMAT, whole: bool = True) -> bytes:
    """These members after those of a good archive."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=kind) as tar:
        for name, data in CONTENT.items() if whole else ():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
        for member in members:
            tar.addfile(member, io.BytesIO(b"\0" * member.size))
    return out.getvalue()


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "", size: int = 0) -> tarfile.TarInfo:
    """One entry."""
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, link, size
    return info


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_folder_comes_out_as_it_went_in(tmp_path: Path) -> None:
    """Empty folders too; and the follower's table unpacks it."""
    pack(folder_of(tmp_path / "source"), tmp_path / "model.tar")
    found = UNPACK["savedmodel"](tmp_path / "model.tar", tmp_path)
    assert contents(found) == CONTENT
    assert (found / "assets").is_dir()


def test_equal_folders_make_equal_archives(tmp_path: Path) -> None:
    """Whenever and by whomever they were written: a model is known by its digest."""
    for name in ("a", "b"):
        pack(folder_of(tmp_path / name), tmp_path / f"{name}.tar")
    assert (tmp_path / "a.tar").read_bytes() == (tmp_path / "b.tar").read_bytes()


def test_the_leader_takes_it_and_leaves_the_card_as_it_was_sent(tmp_path: Path) -> None:
    """Its signature is not known before something loads it."""
    pack(folder_of(tmp_path / "source"), tmp_path / "a.tar")
    with (tmp_path / "a.tar").open("rb") as file:
        card = check_model(file, {"format": "savedmodel", "description": "d"})
    assert (card.format, card.description, card.inputs, card.weight_bytes) == ("savedmodel", "d", (), None)


def test_an_archive_of_gnu_tar_is_taken(tmp_path: Path) -> None:
    """Written as `tar -C FOLDER -cf FILE .` does it: names begin with a dot."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as tar:
        tar.add(folder_of(tmp_path / "source"), arcname=".")
    assert {str(entry.path) for entry in check_savedmodel(out) if not entry.is_folder} == CONTENT.keys()


HOSTILE = {
    "a way out": archive(member("../evil")),
    "a way out in the middle": archive(member("assets/../../evil")),
    "an absolute path": archive(member("/etc/evil")),
    "a symbolic link": archive(member("assets/link", tarfile.SYMTYPE, "/etc/passwd")),
    "a hard link": archive(member("assets/link", tarfile.LNKTYPE, "saved_model.pb")),
    "a device": archive(member("assets/null", tarfile.CHRTYPE)),
    "a pipe": archive(member("assets/pipe", tarfile.FIFOTYPE)),
    "a long name of GNU's": archive(member("a/" * 120 + "b"), kind=tarfile.GNU_FORMAT),
    "a record of pax": archive(member("\u00fc" * 90), kind=tarfile.PAX_FORMAT),
    "a name twice": archive(member("saved_model.pb")),
    "a file as a folder": archive(member("saved_model.pb/child")),
    "a name with a line end": archive(member("assets/a\nb")),
    "a backslash": archive(member("assets\\a")),
    "too deep": archive(member("a/" * 20 + "b")),
    "no graph": archive(member("variables/variables.index"), whole=False),
    "no variables": archive(member("saved_model.pb"), whole=False),
    "nothing": archive(whole=False),
    "no bytes": b"",
    "no archive": b"PK\x03\x04" + b"\0" * 2000,
    "cut off": archive()[:1700],
    "compressed": b"\x1f\x8b" + b"\0" * 2000,
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE.keys())
def test_whatever_is_no_plain_archive_is_refused_and_nothing_is_written(data: bytes, tmp_path: Path) -> None:
    """By the leader's check and by the follower's unpacking alike."""
    with pytest.raises(InvalidModel, match="refused"):
        check_model(io.BytesIO(data), {"format": "savedmodel"})
    (tmp_path / "a.tar").write_bytes(data)
    with pytest.raises(InvalidModel):
        unpack(tmp_path / "a.tar", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["a.tar"]


def test_a_size_beyond_the_archive_is_refused_before_anything_is_read() -> None:
    """Eight gigabytes in a header of half a kilobyte."""
    info = tarfile.TarInfo("assets/large")
    info.size = 8 << 30
    info.size -= 1
    with pytest.raises(InvalidModel, match="more than the archive has"):
        check_savedmodel(io.BytesIO(archive()[: 8 * 512] + info.tobuf(tarfile.USTAR_FORMAT) + b"\0" * 1024))


def test_an_archive_of_too_many_entries_is_refused() -> None:
    """However small each is."""
    header = member("a", tarfile.DIRTYPE).tobuf(tarfile.USTAR_FORMAT)
    with pytest.raises(InvalidModel, match=f"more than {MAX_ENTRIES}"):
        check_savedmodel(io.BytesIO(header * (MAX_ENTRIES + 1) + b"\0" * 1024))


def test_a_changed_header_fails_its_checksum() -> None:
    """One bit is enough."""
    data = bytearray(archive())
    data[3] ^= 1
    with pytest.raises(InvalidModel, match="no header"):
        check_savedmodel(io.BytesIO(bytes(data)))


@given(st.integers(0, len(archive()) - 1), st.binary(min_size=1, max_size=40))
def test_damaged_archives_are_read_or_refused(place: int, damage: bytes) -> None:
    """Nothing else is raised, and no path leaves the folder."""
    data = bytearray(archive())
    data[place : place + len(damage)] = damage
    try:
        entries = check_savedmodel(io.BytesIO(bytes(data)))
    except InvalidModel:
        return
    assert all(not entry.path.is_absolute() and ".." not in entry.path.parts for entry in entries)


def test_a_folder_that_is_no_savedmodel_is_not_packed(tmp_path: Path) -> None:
    """The folder above the version, for one."""
    folder_of(tmp_path / "base" / "1")
    with pytest.raises(InvalidModel, match="one version"):
        pack(tmp_path / "base", tmp_path / "a.tar")


def test_a_link_in_the_folder_is_not_packed(tmp_path: Path) -> None:
    """What it points to may be anything."""
    source = folder_of(tmp_path / "source")
    (source / "assets" / "link").symlink_to("/etc/passwd")
    with pytest.raises(InvalidModel, match="neither a file nor a folder"):
        pack(source, tmp_path / "a.tar")
