"""Models in OpenVINO's own format as archives: what the graph says is read, and nothing hostile gets further."""

import io
import tarfile
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from follower.generate.models import UNPACK
from model_repo.format_checks import check_model
from model_repo.openvino_tar import check_openvino, pack
from shared.errors import InvalidModel

GRAPH = """<?xml version="1.0"?>
<net name="n" version="11">
  <layers>
    <layer id="0" name="a" type="Parameter" version="opset1">
      <data shape="?,4" element_type="f32" />
      <output><port id="0" precision="FP32" names="x,also_x"><dim>-1</dim><dim>4</dim></port></output>
    </layer>
    <layer id="1" name="w" type="Const" version="opset1">
      <data element_type="i64" shape="4" offset="8" size="32" />
      <output><port id="0" precision="I64"><dim>4</dim></port></output>
    </layer>
    <layer id="2" name="loop" type="TensorIterator" version="opset1">
      <output><port id="2" precision="FP16" names="y"><dim>-1</dim><dim>2</dim></port></output>
      <body><layers>
        <layer id="7" name="inner" type="Parameter" version="opset1">
          <output><port id="0" precision="FP32" names="inside"><dim>1</dim></port></output>
        </layer>
      </layers></body>
    </layer>
    <layer id="3" name="r" type="Result" version="opset1">
      <input><port id="0" precision="FP16"><dim>-1</dim><dim>2</dim></port></input>
    </layer>
  </layers>
  <edges>
    <edge from-layer="0" from-port="0" to-layer="2" to-port="0" />
    <edge from-layer="2" from-port="2" to-layer="3" to-port="0" />
  </edges>
</net>
"""
WEIGHTS = b"\0" * 40


def archive(graph: str | bytes = GRAPH, weights: bytes = WEIGHTS, **more: bytes) -> bytes:
    """The two files, and others."""
    out = io.BytesIO()
    text = graph.encode() if isinstance(graph, str) else graph
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, data in {"model.bin": weights, "model.xml": text, **more}.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def test_the_card_gets_what_the_graph_says_of_the_outermost_tensors() -> None:
    """A tensor of two names answers to the first in the alphabet; a loop's own inputs are nobody else's."""
    card = check_model(io.BytesIO(archive()), {"format": "openvino"})
    assert [(each.name, each.datatype, each.shape) for each in card.inputs] == [("also_x", "FP32", (-1, 4))]
    assert [(each.name, each.datatype, each.shape) for each in card.outputs] == [("y", "FP16", (-1, 2))]
    assert card.weight_bytes == len(WEIGHTS)


def test_the_name_that_a_result_gives_its_tensor_comes_first() -> None:
    """Newer versions write it there."""
    named = GRAPH.replace('type="Result"', 'type="Result" output_names="scores"')
    assert check_openvino(io.BytesIO(archive(named))).outputs[0].name == "scores"


def test_a_card_that_says_something_else_than_the_graph_is_refused() -> None:
    """As for every format."""
    tensor = {"name": "z", "datatype": "FP32", "shape": [1]}
    with pytest.raises(InvalidModel, match="disagree"):
        check_model(io.BytesIO(archive()), {"format": "openvino", "inputs": [tensor]})


BOMB = '<!DOCTYPE net [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>' + GRAPH.partition("?>")[2]
FILE = '<!DOCTYPE net SYSTEM "file:///etc/passwd">' + GRAPH.partition("?>")[2]

HOSTILE = {
    "entities that grow": (archive(BOMB), "declares a document type"),
    "a file of the machine": (archive(FILE), "declares a document type"),
    "no XML": (archive(b"\x08\x08garbage"), "no XML that can be read"),
    "cut off XML": (archive(GRAPH[:900]), "no XML that can be read"),
    "other XML": (archive("<html><body/></html>"), "no inputs or no outputs"),
    "too deep": (archive("<net>" * 100 + "</net>" * 100), "more than 64 deep"),
    "a dimension in words": (archive(GRAPH.replace("<dim>4</dim>", "<dim>four</dim>")), "not a network"),
    "a type that nobody knows": (archive(GRAPH.replace("FP16", "FP17")), "not a network"),
    "a result of nothing": (archive(GRAPH.replace('to-layer="3"', 'to-layer="9"')), "not a network"),
    "a tensor without a name": (archive(GRAPH.replace('names="y"', "")), "name"),
    "weights that are cut off": (archive(weights=b"\0" * 39), "uses 40 bytes of model.bin, which has 39"),
    "a third file": (archive(**{"plugins.xml": b""}), "something else than a model of OpenVINO"),
    "no archive": (b"PK\x03\x04" + b"\0" * 2000, "no header"),
    "no bytes": (b"", "ends at byte 0"),
}


@pytest.mark.parametrize(("data", "reason"), HOSTILE.values(), ids=HOSTILE.keys())
def test_whatever_openvino_did_not_write_is_refused_with_the_reason(data: bytes, reason: str) -> None:
    """By the leader, which loads nothing."""
    with pytest.raises(InvalidModel, match=reason):
        check_model(io.BytesIO(data), {"format": "openvino"})


def test_a_graph_larger_than_any_network_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights do not stand in it."""
    monkeypatch.setattr("model_repo.openvino_tar.MAX_GRAPH_BYTES", 100)
    with pytest.raises(InvalidModel, match="at most 100"):
        check_openvino(io.BytesIO(archive()))


@given(st.integers(0, len(archive()) - 1), st.binary(min_size=1, max_size=40))
def test_damaged_archives_are_read_or_refused(place: int, damage: bytes) -> None:
    """Nothing else is raised."""
    data = bytearray(archive())
    data[place : place + len(damage)] = damage
    with suppress(InvalidModel):
        check_openvino(io.BytesIO(bytes(data)))


def test_a_folder_comes_out_as_it_went_in(tmp_path: Path) -> None:
    """The follower gives the platform the folder; the engine finds the weights beside the graph."""
    source = tmp_path / "source"
    source.mkdir()
    (source / "model.xml").write_text(GRAPH)
    (source / "model.bin").write_bytes(WEIGHTS)
    pack(source, tmp_path / "m.tar")
    folder = UNPACK["openvino"](tmp_path / "m.tar", tmp_path)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {
        "model.xml": GRAPH.encode(),
        "model.bin": WEIGHTS,
    }


def test_a_folder_of_anything_else_is_not_packed(tmp_path: Path) -> None:
    """Of one file, for instance."""
    (tmp_path / "model.xml").write_text(GRAPH)
    with pytest.raises(InvalidModel, match="no folder of one model"):
        pack(tmp_path, tmp_path / "m.tar")
