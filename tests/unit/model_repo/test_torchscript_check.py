"""TorchScript archives, good and hostile, looked at without PyTorch and without opening a pickle."""

import io
import pickle
import pickletools
import struct
import zipfile
from collections.abc import Mapping
from io import BytesIO
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model_repo import torchscript_check
from model_repo.format_checks import check_model
from model_repo.torchscript_check import check_torchscript
from shared.errors import InvalidModel

SIGNATURE = (
    b'{"inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 4]}],'
    b' "outputs": [{"name": "y", "datatype": "FP32", "shape": [-1, 2]}]}'
)

GOOD: dict[str, bytes] = {
    "m/data.pkl": b"not a pickle at all",
    "m/constants.pkl": b"nor is this",
    "m/version": b"3\n",
    "m/code/__torch__.py": b"class Model(Module):\n" * 20,
    "m/data/0": b"\0" * 64,
    "m/data/1": b"\0" * 32,
    "m/constants/0": b"\0" * 16,
    "m/extra/inferbench.json": SIGNATURE,
}


def archive(changes: Mapping[str, bytes | None] | None = None) -> bytes:
    """What torch.jit.save lays down, with these entries added, replaced or (None) left out."""
    wanted = {**GOOD, **(changes or {})}
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name, content in wanted.items():
            if content is not None:
                packed = zipfile.ZIP_DEFLATED if "/code/" in name else zipfile.ZIP_STORED
                file.writestr(zipfile.ZipInfo(name), content, packed)
    return buffer.getvalue()


def refusal(content: bytes) -> str:
    """Why an archive is refused."""
    with pytest.raises(InvalidModel) as caught:
        check_torchscript(BytesIO(content))
    return caught.value.detail


def test_a_good_archive_says_what_it_takes_gives_and_weighs() -> None:
    """Weights are what lies under data and constants."""
    facts = check_torchscript(BytesIO(archive()))
    assert [(each.name, each.datatype, each.shape) for each in facts.signature.inputs] == [("x", "FP32", (-1, 4))]
    assert [(each.name, each.datatype, each.shape) for each in facts.signature.outputs] == [("y", "FP32", (-1, 2))]
    assert facts.weight_bytes == 64 + 32 + 16


def test_the_card_is_filled_in_from_the_archive() -> None:
    """As that of an ONNX file is."""
    card = check_model(BytesIO(archive()), {"format": "torchscript", "task": "t"})
    assert (card.format, card.task, card.weight_bytes, card.inputs[0].name) == ("torchscript", "t", 112, "x")


def test_a_card_that_contradicts_the_signature_is_refused() -> None:
    """Both are named."""
    sent = {"format": "torchscript", "inputs": [{"name": "other", "datatype": "FP32", "shape": [-1, 4]}]}
    with pytest.raises(InvalidModel) as caught:
        check_model(BytesIO(archive()), sent)
    assert [problem.path for problem in caught.value.problems] == ["card.inputs"]


class Trap:
    """Whoever unpickles it notices."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (pytest.fail, ("a pickle was opened",))


def test_no_pickle_is_ever_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither by pickle nor by reading the entry at all."""
    opened: list[str] = []
    original = zipfile.ZipFile.open

    def noting(self: zipfile.ZipFile, name: str, mode: Literal["r", "w"] = "r") -> object:
        opened.append(name)
        return original(self, name, mode)

    trap = pickle.dumps(Trap())
    assert any(code.name == "REDUCE" for code, _, _ in pickletools.genops(trap))
    content = archive({"m/data.pkl": trap, "m/constants.pkl": trap})
    monkeypatch.setattr(zipfile.ZipFile, "open", noting)
    check_torchscript(BytesIO(content))
    assert opened == ["m/extra/inferbench.json"]


@pytest.mark.parametrize("content", [b"", b"garbage", b"PK\x03\x04", archive()[: len(archive()) // 2]])
def test_what_is_no_archive_is_refused(content: bytes) -> None:
    """Also one that was cut off."""
    assert "not a zip archive" in refusal(content)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"m/extra/inferbench.json": None}, "no signature"),
        ({"m/code/__torch__.py": None}, "torch.jit.save(torch.jit.script(module), path)"),
        ({"m/constants.pkl": None}, "torch.save writes weights and Python objects only"),
        ({"other/data/0": b""}, "the archive holds no program"),
        ({"/etc/passwd": b""}, "points out of the archive"),
        ({"m/../../etc/passwd": b""}, "points out of the archive"),
        ({"m\\..\\x": b""}, "points out of the archive"),
        ({"m/extra/inferbench.json": b"["}, "The signature is not valid"),
        ({"m/extra/inferbench.json": b'{"inputs": []}'}, "The signature is not valid: inferbench.json.inputs"),
        ({"m/extra/inferbench.json": SIGNATURE.replace(b"FP32", b"FLOAT")}, "inferbench.json.inputs.0.datatype"),
        ({"m/extra/inferbench.json": b" " * ((1 << 20) + 1)}, "at most 1048576 bytes"),
    ],
)
def test_each_fault_is_named(changes: dict[str, bytes | None], words: str) -> None:
    """With what would be right."""
    assert words in refusal(archive(changes))


def test_an_entry_given_twice_is_refused() -> None:
    """One reader would take the first, another the last."""
    buffer = BytesIO(archive())
    with pytest.warns(UserWarning, match="Duplicate name"), zipfile.ZipFile(buffer, "a") as file:
        file.writestr("m/data/0", b"\0")
    assert "two entries of one name" in refusal(buffer.getvalue())


def test_an_entry_without_a_name_is_refused() -> None:
    """Zip allows it."""
    assert "holds no program" in refusal(archive({"": b""}))


def test_a_program_that_unpacks_to_too_much_is_refused_unopened(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it would unpack to stands in the table of contents."""
    monkeypatch.setattr(torchscript_check, "MAX_PACKED_BYTES", 1000)
    assert "its program unpacks to 100000 bytes" in refusal(archive({"m/code/__torch__.py": b"x" * 100_000}))


def test_entries_that_overlap_are_refused() -> None:
    """Many entries that are the same bytes would be read as many times."""
    content = bytearray(archive({"m/data/0": b"\0" * 4096}))
    end = content.rindex(b"PK\x05\x06")
    (count,), (start,) = struct.unpack_from("<H", content, end + 10), struct.unpack_from("<I", content, end + 16)
    directory, place = content[start:end], content.rindex(b"m/data/0") - 46
    entry = bytes(content[place : place + 46 + len("m/data/0")])
    copies = b"".join(entry.replace(b"m/data/0", b"m/data/%c" % letter) for letter in b"abcdefgh")
    tail = bytearray(content[end:])
    struct.pack_into("<HH", tail, 8, count + 8, count + 8)
    struct.pack_into("<I", tail, 12, len(directory) + len(copies))
    assert "they overlap" in refusal(bytes(content[:start]) + bytes(directory) + copies + bytes(tail))


@settings(max_examples=200)
@given(place=st.integers(0, len(archive()) - 1), byte=st.integers(0, 255), cut=st.integers(0, len(archive())))
def test_a_damaged_archive_is_taken_or_refused_and_never_anything_else(place: int, byte: int, cut: int) -> None:
    """Any one byte changed, any end cut off."""
    damaged = bytearray(archive())
    damaged[place] = byte
    for content in (bytes(damaged), archive()[:cut]):
        try:
            check_torchscript(io.BytesIO(content))
        except InvalidModel:
            continue
