"""The raw samples: one row per request, in the order of sending. All times are monotonic integer nanoseconds.

due ──(lateness)──> start ──preprocess──> send_start ──> send_end … first_byte ──> last_byte ──postprocess──> done
"""

from collections.abc import Mapping
from typing import Any, Final

import numpy.typing as npt

Columns = Mapping[str, npt.NDArray[Any]]
"""Column name -> values, each of shape (n,)."""

NOT_AVAILABLE: Final = -1
"""Marks a time or duration that was not observed."""

COLUMNS: Final[dict[str, str]] = {
    "due_ns": "int64",  # when the plan wanted it sent (closed loop: when the connection became free)
    "start_ns": "int64",  # when the sender took it up
    "send_start_ns": "int64",  # pre-processed and ready: before the first byte was written, and any connecting for it
    # (of an encrypted connection, after it: see setup_ns)
    "send_end_ns": "int64",  # after the last byte was written
    "first_byte_ns": "int64",
    "last_byte_ns": "int64",
    "done_ns": "int64",  # after post-processing
    "status": "int32",  # HTTP status, 0 where none was received
    "error": "int16",  # index into ERROR_KINDS
    "bytes_sent": "int64",
    "bytes_received": "int64",
    "worker": "int32",
    "payload": "int32",  # index into the dataset's encoded requests
    "server_queue_ns": "int64",  # as reported by the server
    "server_inference_ns": "int64",
    "server_total_ns": "int64",  # from request read to answer built, as reported by the server
    "wire_ns": "int64",  # from the kernel's send of the last request byte to its receipt of the last response byte
    "batch_size": "int32",  # samples executed together with this request, as reported by the server
    "server_preprocess_ns": "int64",  # where the pipeline runs in the server, as reported by it
    "server_postprocess_ns": "int64",
    "setup_ns": "int64",  # before send_start: how long it waited for an encrypted connection to be set up for it
}

CAME_LATER: Final[tuple[str, ...]] = ("server_preprocess_ns", "server_postprocess_ns", "setup_ns")
"""Columns that older files lack, from some on; what they would hold was not observed."""

ERROR_KINDS: Final[tuple[str, ...]] = (
    "ok",
    "connect",  # connection refused or reset before the request was written
    "reset",  # connection lost afterwards
    "timeout",
    "http-status",
    "malformed",  # not an HTTP answer, or a body that is not the promised one
    "pipeline",  # pre- or post-processing failed
    "not-sent",  # the run ended before its turn
)
