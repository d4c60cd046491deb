"""Goodput: requests that kept every limit on a request, over all that were offered, failed and unsent ones included."""

import numpy as np

from shared.jobs.slo import RequestLimits
from shared.measure.columns import Columns
from shared.measure.latency import NS_PER_MS, response_ns, service_ns
from shared.measure.record import Goodput
from shared.measure.windows import Mask, succeeded


def goodput_of(rows: Columns, limits: RequestLimits | None, span_s: float) -> Goodput | None:
    """Of the requests due in the window, over ``span_s`` seconds; None without a limit.

    A duration that the server did not report keeps no limit: what is not known is not good.
    """
    if limits is None or not limits.model_dump(exclude_none=True):
        return None
    offered = len(rows["error"])
    good = int(np.count_nonzero(kept(rows, limits)))
    return Goodput(good=good, offered=offered, rps=good / span_s, share=good / offered if offered else 0.0)


def kept(rows: Columns, limits: RequestLimits) -> Mask:
    """Which requests succeeded and kept all limits, shape (n,)."""
    good = succeeded(rows)
    durations = (
        (limits.response_ms, response_ns(rows)),
        (limits.service_ms, service_ns(rows)),
        (limits.queue_ms, rows["server_queue_ns"]),
        (limits.inference_ms, rows["server_inference_ns"]),
    )
    for limit_ms, duration_ns in durations:
        if limit_ms is not None:
            good = good & (duration_ns >= 0) & (duration_ns <= limit_ms * NS_PER_MS)
    return good
