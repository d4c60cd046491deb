"""From an exchange that has ended to its row."""

from typing import Final

from follower.load.codec import Codec
from follower.load.exchange import Exchange
from follower.load.samples import SampleTable
from shared.measure.columns import NOT_AVAILABLE

_QUEUE: Final = b"inferbench-queue-ns"
_INFERENCE: Final = b"inferbench-inference-ns"
_TOTAL: Final = b"inferbench-total-ns"
_BATCH_SIZE: Final = b"inferbench-batch-size"
_PREPROCESS: Final = b"inferbench-preprocess-ns"
_POSTPROCESS: Final = b"inferbench-postprocess-ns"


class RowWriter:
    """Writes one worker's rows, each when its exchange is over."""

    def __init__(self, table: SampleTable, worker: int, *, server_pipeline: bool = False) -> None:
        """``server_pipeline``: answers say what the server's own pre- and post-processing took."""
        self._write = table.write
        self._worker = worker
        self._server_pipeline = server_pipeline

    def write(self, exchange: Exchange, done_ns: int, error: int, codec: Codec | None) -> None:
        """``codec`` holds the answer; None where there is no whole one."""
        status = queue_ns = inference_ns = total_ns = batch_size = preprocess_ns = postprocess_ns = None
        if codec is not None:
            status, number = codec.status, codec.number
            queue_ns = number(_QUEUE)
            inference_ns = number(_INFERENCE)
            total_ns = number(_TOTAL)
            batch_size = number(_BATCH_SIZE)
            if self._server_pipeline:
                preprocess_ns = number(_PREPROCESS)
                postprocess_ns = number(_POSTPROCESS)
        self._write(
            exchange.row,
            exchange.due_ns,
            exchange.start_ns,
            exchange.send_start_ns,
            exchange.send_end_ns,
            exchange.first_byte_ns,
            exchange.last_byte_ns,
            done_ns,
            status or 0,
            error,
            exchange.bytes_sent,
            exchange.bytes_received,
            self._worker,
            exchange.payload,
            NOT_AVAILABLE if queue_ns is None else queue_ns,
            NOT_AVAILABLE if inference_ns is None else inference_ns,
            NOT_AVAILABLE if total_ns is None else total_ns,
            exchange.wire_ns,
            NOT_AVAILABLE if batch_size is None else batch_size,
            NOT_AVAILABLE if preprocess_ns is None else preprocess_ns,
            NOT_AVAILABLE if postprocess_ns is None else postprocess_ns,
            exchange.setup_ns,
        )
