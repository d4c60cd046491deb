"""Files that are broken or built to break a reader: each ends as InvalidModel, soon, in little memory."""

import tracemalloc
from io import BytesIO
from time import monotonic

import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper
from support.onnx_models import file_of, if_node, model

from model_repo import onnx_check
from model_repo.onnx_check import check_onnx
from model_repo.protobuf_wire import CHUNK_BYTES
from shared.errors import InvalidModel

GOOD = model([if_node(helper.make_node("Relu", ["x"], ["y"]))]).SerializeToString()


def tag(number: int, wire_type: int) -> bytes:
    """The key of a field, for numbers below 16."""
    return bytes([number << 3 | wire_type])


def varint(value: int) -> bytes:
    """A number as protobuf writes it."""
    groups = []
    while True:
        value, low = value >> 7, value & 0x7F
        groups.append(low | (0x80 if value else 0))
        if not value:
            return bytes(groups)


def message(number: int, body: bytes) -> bytes:
    """A length-delimited field."""
    return tag(number, 2) + varint(len(body)) + body


def refused(content: bytes) -> str:
    """Why the bytes are refused."""
    with pytest.raises(InvalidModel) as caught:
        check_onnx(BytesIO(content))
    assert caught.value.problems
    return caught.value.detail


def test_the_sound_file_of_this_module_passes() -> None:
    """The mutations below start from a model that is accepted."""
    assert check_onnx(BytesIO(GOOD)).node_count == 3


def test_a_file_cut_at_any_byte_is_refused() -> None:
    """No prefix of a model is taken for the model, unless it is one by itself."""
    whole = onnx.ModelProto.FromString(GOOD)
    for length in range(len(GOOD)):
        try:
            check_onnx(BytesIO(GOOD[:length]))
        except InvalidModel:
            continue
        onnx.checker.check_model(onnx.ModelProto.FromString(GOOD[:length]))
        assert onnx.ModelProto.FromString(GOOD[:length]).graph == whole.graph


@given(st.binary(max_size=512))
@settings(max_examples=400, deadline=None)
def test_random_bytes_raise_nothing_else(content: bytes) -> None:
    """Whatever the bytes, the answer is facts or InvalidModel."""
    try:
        check_onnx(BytesIO(content))
    except InvalidModel as error:
        assert error.problems  # noqa: PT017 - the property is about every outcome


@given(st.integers(0, len(GOOD) - 1), st.integers(0, 255), st.integers(0, len(GOOD) - 1), st.integers(0, 255))
@settings(max_examples=400, deadline=None)
def test_two_changed_bytes_raise_nothing_else(first: int, one: int, second: int, other: int) -> None:
    """Small damage to a sound file, which reaches far deeper than noise, is answered the same way."""
    content = bytearray(GOOD)
    content[first], content[second] = one, other
    try:
        check_onnx(BytesIO(bytes(content)))
    except InvalidModel as error:
        assert error.problems  # noqa: PT017 - the property is about every outcome


@pytest.mark.parametrize(
    "content",
    [
        b"PK\x03\x04 a zip file",
        b"\x80\x04\x95 a pickle",
        b"\x89PNG\r\n\x1a\n",
        b"{" + b'"json": true}',
        b"\x00" * 100,
        b"\xff" * 100,
        tag(7, 3) + tag(7, 4),  # a group
        tag(7, 0) + varint(1),  # a graph that is a number
        tag(7, 2) + varint(2**63),  # a graph of eight exabytes
        tag(7, 2) + b"\xff" * 9 + b"\x01",  # of minus one byte
        varint(1 << 40) + b"\x00",  # a tag that a 32-bit parser would see as another one
    ],
)
def test_other_formats_and_malformed_fields_are_refused(content: bytes) -> None:
    """Archives, pictures, groups, wrong wire types and absurd lengths are no ONNX."""
    assert "not a complete ONNX file" in refused(content)


def test_a_nesting_bomb_is_refused() -> None:
    """Ten thousand subgraphs inside each other stop at the depth limit, not at Python's."""
    graph = b""
    for _ in range(10_000):
        graph = message(1, message(5, message(6, graph)))  # graph.node.attribute.g
    assert "nested more than 100 deep" in refused(message(7, graph))


def test_a_nesting_of_thirty_subgraphs_is_still_fine() -> None:
    """The limit leaves room for models that people make."""
    node = helper.make_node("Relu", ["x"], ["y"])
    for _ in range(30):
        node = if_node(node)
    assert check_onnx(file_of(model([node]))).node_count == 61


def test_a_bomb_of_empty_nodes_is_refused_in_bounded_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """The number of fields that are looked at is limited."""
    monkeypatch.setattr(onnx_check, "MAX_FIELDS", 100_000)
    started = monotonic()
    assert "more fields" in refused(message(7, message(1, b"") * 1_000_000))
    assert monotonic() - started < 20


def test_a_bomb_of_names_is_refused_in_bounded_memory() -> None:
    """Many inputs, or few with enormous names, stop at the budget of kept bytes."""
    names = message(7, message(11, message(1, b"n" * 1_000_000)) * 200)
    tracemalloc.start()
    assert "more names" in refused(names)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 300_000_000
    assert "name of 2000000 bytes" in refused(message(7, message(1, message(4, b"n" * 2_000_000))))


def test_a_number_given_twice_is_refused() -> None:
    """Parsers take the last of two values, so two values are two meanings."""
    tensor = message(5, tag(2, 0) + varint(1) + tag(2, 0) + varint(1))
    assert "more than one data_type" in refused(message(7, tensor))


def test_two_graphs_are_refused() -> None:
    """Parsers merge two graphs into one; nobody writes them in good faith."""
    assert "2 graphs" in refused(GOOD + message(7, b""))


def test_a_name_that_is_not_text_is_refused() -> None:
    """Strings are UTF-8."""
    assert "not UTF-8" in refused(message(7, message(1, message(4, b"\xff\xfe"))))


class CountingFile(BytesIO):
    """A file that counts the bytes read from it."""

    bytes_read = 0

    def read(self, size: int | None = -1, /) -> bytes:
        content = super().read(size)
        self.bytes_read += len(content)
        return content


def test_tensor_data_is_never_read() -> None:
    """A hundred megabytes of weights cost a few reads of one chunk."""
    proto = model()
    proto.graph.initializer[0].dims[:] = [25_000_000]
    proto.graph.initializer[0].raw_data = bytes(100_000_000)
    file = CountingFile(proto.SerializeToString())
    assert check_onnx(file).weight_bytes == 100_000_000
    assert file.bytes_read <= 4 * CHUNK_BYTES
