"""One request and its answer: the stamps of the columns, and what was counted on the way."""

from shared.measure.columns import NOT_AVAILABLE


class Exchange:
    """What will be one row."""

    __slots__ = (
        "bytes_received",
        "bytes_sent",
        "due_ns",
        "first_byte_ns",
        "last_byte_ns",
        "payload",
        "request",
        "row",
        "send_end_ns",
        "send_start_ns",
        "sent_again",
        "setup_ns",
        "start_ns",
        "wire_ns",
    )

    def __init__(self, row: int, payload: int, due_ns: int, start_ns: int) -> None:
        self.row = row
        self.payload = payload
        self.due_ns = due_ns
        self.start_ns = start_ns
        self.request: bytes | bytearray = b""  # what Codec.start takes
        self.send_start_ns = NOT_AVAILABLE
        self.setup_ns = NOT_AVAILABLE
        self.sent_again = 0
        self.forget()

    def forget(self) -> None:
        """Forgets what one connection did with it; when it was due, taken up and first sent stays."""
        self.send_end_ns = NOT_AVAILABLE
        self.first_byte_ns = NOT_AVAILABLE
        self.last_byte_ns = NOT_AVAILABLE
        self.wire_ns = NOT_AVAILABLE
        self.bytes_sent = 0
        self.bytes_received = 0
