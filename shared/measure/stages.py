"""Where a request's response latency went: five stages, and what none of them explains.

For every request, the stages that are known and the unattributed rest sum to the response latency exactly.
"""

from dataclasses import dataclass

import numpy as np

from shared.measure.columns import Columns
from shared.measure.latency import NS_PER_MS, Durations, percentile_ms, response_ns, service_ns
from shared.measure.record import STAGES, Stage, StageSummary
from shared.measure.windows import Mask


@dataclass(frozen=True)
class StageTimes:
    """Durations per stage of n successful requests, shape (n,) each.

    Where ``reported`` is False the server said nothing: queue, inference and transmission are 0 there and mean
    "not available", and unattributed holds the whole time from send to last byte besides the sender's lateness.
    """

    durations_ns: dict[Stage, Durations]
    reported: Mask


_FROM_SERVER: tuple[Stage, ...] = ("transmission", "queue", "inference")


def stage_times(columns: Columns) -> StageTimes:
    """Splits successful requests into their stages.

    Where the server runs the pipeline, pre- and post-processing are its own; what little the client then does, to read
    an answer, is unattributed. So is the wait for an encrypted connection that was set up for the request.
    """
    reported = np.asarray((columns["server_queue_ns"] >= 0) & (columns["server_inference_ns"] >= 0))
    queue = np.where(reported, columns["server_queue_ns"], 0)
    inference = np.where(reported, columns["server_inference_ns"], 0)
    in_server = reported & (columns["server_preprocess_ns"] >= 0) & (columns["server_postprocess_ns"] >= 0)
    preprocess = np.where(in_server, columns["server_preprocess_ns"], 0)
    postprocess = np.where(in_server, columns["server_postprocess_ns"], 0)
    setup = np.maximum(columns["setup_ns"], 0)
    away = service_ns(columns) - queue - inference - preprocess - postprocess
    durations: dict[Stage, Durations] = {
        "preprocess": np.where(in_server, preprocess, columns["send_start_ns"] - columns["start_ns"] - setup),
        "transmission": np.where(reported, away, 0),
        "queue": queue,
        "inference": inference,
        "postprocess": np.where(in_server, postprocess, columns["done_ns"] - columns["last_byte_ns"]),
    }
    durations["unattributed"] = response_ns(columns) - np.sum(list(durations.values()), axis=0)
    return StageTimes(durations, reported)


def summarize_stages(columns: Columns) -> dict[Stage, StageSummary]:
    """Every stage over the successful requests that have it; shares are of the same requests' mean response."""
    times = stage_times(columns)
    response = response_ns(columns)
    return {
        stage: _summary(times.durations_ns[stage][mask], response[mask])
        for stage in STAGES
        for mask in [times.reported if stage in _FROM_SERVER else np.ones(len(response), dtype=np.bool_)]
    }


def _summary(durations_ns: Durations, response: Durations) -> StageSummary:
    ascending = np.sort(durations_ns)
    total = int(response.sum())
    return StageSummary(
        n=len(ascending),
        mean_ms=float(ascending.mean()) / NS_PER_MS if len(ascending) else None,
        p50_ms=percentile_ms(ascending, 0.5),
        p90_ms=percentile_ms(ascending, 0.9),
        p99_ms=percentile_ms(ascending, 0.99),
        share=int(ascending.sum()) / total if total > 0 else None,
    )
