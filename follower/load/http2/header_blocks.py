"""Header blocks (HPACK, RFC 7541): the client's one block, made once, and the server's, decoded once each."""

from collections.abc import Iterable, Mapping
from typing import Final

import hpack

from follower.load.codec import MalformedResponse

MAX_BLOCK_BYTES: Final = 64 * 1024

Fields = Mapping[bytes, bytes]
"""Header fields by name; the values of a repeated name are joined by commas (RFC 9110, section 5.3)."""

_STATIC_FIELDS: Final = {(b":method", b"POST"): 3, (b":scheme", b"http"): 6, (b":scheme", b"https"): 7}
_STATIC_NAMES: Final = {b":authority": 1, b":path": 4, b"content-type": 31, b"user-agent": 58}
"""What a gRPC request needs of the static table, RFC 7541, appendix A."""

_INDEXED: Final = 0x80
_NEW_NAMES: Final = {0x00, 0x10}  # literals that are not indexed, with a name of their own (sections 6.2.2, 6.2.3)
_NEVER_INDEXED: Final = b"\x10"
_SHORT: Final = 0x7F  # a string's first byte below this is its length, and the string is not Huffman-coded
_MOST_KNOWN: Final = 64  # blocks kept; those whose values never repeat would otherwise fill the memory


def constant_block(fields: Iterable[tuple[bytes, bytes]], secrets: Iterable[tuple[bytes, bytes]] = ()) -> bytes:
    """A block that means the same in every state of the dynamic table, and leaves it as it is.

    ``secrets`` are marked as never to be indexed, by nobody on the way either (RFC 7541, section 7.1.3).
    """
    plain = [_field(name, value) for name, value in fields]
    return b"".join([*plain, *(_NEVER_INDEXED + _string(name) + _string(value) for name, value in secrets)])


def _field(name: bytes, value: bytes) -> bytes:
    """One field: indexed in the static table, or a literal without indexing (RFC 7541, sections 6.1 and 6.2.2)."""
    if (name, value) in _STATIC_FIELDS:
        return bytes([_INDEXED | _STATIC_FIELDS[name, value]])
    index = _STATIC_NAMES.get(name)
    start = b"\0" + _string(name) if index is None else _integer(index, 4)
    return start + _string(value)


def _string(data: bytes) -> bytes:
    return _integer(len(data), 7) + data


def _integer(value: int, prefix_bits: int) -> bytes:
    """RFC 7541, section 5.1, with zeros in the bits before the prefix."""
    full = (1 << prefix_bits) - 1
    if value < full:
        return bytes([value])
    digits = bytearray([full])
    value -= full
    while value >= _INDEXED:
        digits.append(value & 0x7F | 0x80)
        value >>= 7
    digits.append(value)
    return bytes(digits)


class HeaderDecoder:
    """Decodes one connection's blocks in order, and remembers those that leave the dynamic table as it was.

    Such a block means the same, and does nothing else, until another block changes the table; then all are forgotten.
    A server that answers alike sends the same two blocks again and again. One that reports times in its trailers sends
    another block each time, of fields known already and of literals in plain bytes: those are read here, too.
    """

    def __init__(self) -> None:
        self._decoder = hpack.Decoder(max_header_list_size=MAX_BLOCK_BYTES)
        self._known: dict[bytes, Fields] = {}

    def decode(self, block: bytes) -> Fields:
        """The block's fields; not to be changed.

        Raises:
            MalformedResponse: it is no such block.
        """
        return self._known.get(block) or self._read_plain(block) or self._decode(block)

    def _read_plain(self, block: bytes) -> Fields | None:
        """A block of one-byte indices and short plain literals, each name once; None for any other."""
        fields: dict[bytes, bytes] = {}
        position = count = 0
        try:
            while position < len(block):
                count += 1
                first = block[position]
                if first in _NEW_NAMES and block[position + 1] < _SHORT:
                    name_end = position + 2 + block[position + 1]
                    value_end = name_end + 1 + block[name_end]
                    if block[name_end] >= _SHORT or value_end > len(block):
                        return None
                    fields[block[position + 2 : name_end]] = block[name_end + 1 : value_end]
                    position = value_end
                elif _INDEXED < first < 0xFF:  # noqa: PLR2004 - 0xFF: the index goes on in the next byte
                    index = block[position : position + 1]
                    fields.update(self._known.get(index) or self._decode(index))
                    position += 1
                else:
                    return None
        except IndexError:
            return None
        return self._remember(block, fields) if len(fields) == count else None

    def _decode(self, block: bytes) -> Fields:
        before = self._table()
        try:
            pairs = self._decoder.decode(block, raw=True)
        except hpack.HPACKError as error:
            raise MalformedResponse(f"not a header block: {error}") from error
        fields: dict[bytes, bytes] = {}
        for name, value in pairs:
            fields[name] = fields[name] + b", " + value if name in fields else value
        if _is_same(before, self._table()):
            return self._remember(block, fields)
        self._known.clear()
        return fields

    def _remember(self, block: bytes, fields: Fields) -> Fields:
        if len(self._known) == _MOST_KNOWN:
            self._known.clear()
        self._known[block] = fields
        return fields

    def _table(self) -> tuple[int, int, object]:
        """The dynamic table's bound, length and newest entry.

        Entries enter at one end and leave at the other, and each is an object of its own: while the newest one and
        the count stay, the table stays.
        """
        table = self._decoder.header_table
        return table.maxsize, len(table.dynamic_entries), table.dynamic_entries[0] if table.dynamic_entries else None


def _is_same(before: tuple[int, int, object], after: tuple[int, int, object]) -> bool:
    return before[:2] == after[:2] and before[2] is after[2]
