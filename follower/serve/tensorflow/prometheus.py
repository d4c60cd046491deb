"""The counters of a Prometheus page as statistics: TensorFlow Serving's own, or the fuller ones of the stand-in. Pure.

Sources: the Prometheus text exposition format; the metrics' names are those of TensorFlow Serving's
``servables/tensorflow/util.cc`` and ``batching/batching_session.cc``, with colons for slashes.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Final

from follower.serve.protocol import ServerStatistics

OWN: Final = ":inferbench:"
"""What the names of the stand-in's own counters begin with."""

_REQUESTS: Final = ":tensorflow:serving:request_count"
_BATCHES: Final = ":tensorflow:serving:batching_session:wrapped_run_count"
_QUEUED_MICROS: Final = ":tensorflow:serving:batching_session:queuing_latency_sum"
_LINE: Final = re.compile(r"^([A-Za-z_:][\w:]*)(?:\{([^}]*)\})?\s+(\S+)", re.MULTILINE)
_LABEL: Final = re.compile(r'(\w+)="([^"]*)"')
_NS_PER_MICROSECOND: Final = 1000

Sample = tuple[str, Mapping[str, str], float]


def samples(page: str) -> Iterator[Sample]:
    """Name, labels and value of each line; what is no number is left out."""
    for name, labels, value in _LINE.findall(page):
        try:
            yield name, dict(_LABEL.findall(labels)), float(value)
        except ValueError:
            continue


def statistics_of(page: str) -> ServerStatistics | None:
    """The statistics on a page; None where it has none.

    TensorFlow Serving counts requests, not samples, and its time in the runtime includes the queue: ``inferences``
    are then requests, and the time of inference is not known.
    """
    found = list(samples(page))
    if any(name.startswith(OWN) for name, _, _ in found):
        return _own(found)
    totals: dict[str, float] = {}
    for name, labels, value in found:
        if labels.get("status", "OK") == "OK":
            totals[name] = totals.get(name, 0) + value
    if _REQUESTS not in totals:
        return None
    requests, queued = int(totals[_REQUESTS]), totals.get(_QUEUED_MICROS)
    return ServerStatistics(
        inferences=requests,
        executions=int(totals.get(_BATCHES, requests)),
        queue_ns=None if queued is None else round(queued * _NS_PER_MICROSECOND),
    )


def _own(found: list[Sample]) -> ServerStatistics:
    plain = {name: int(value) for name, labels, value in found if not labels}
    return ServerStatistics(
        inferences=plain[f"{OWN}inferences"],
        executions=plain[f"{OWN}executions"],
        queue_ns=plain[f"{OWN}queue_ns"],
        inference_ns=plain[f"{OWN}inference_ns"],
        batches={int(labels["size"]): int(value) for name, labels, value in found if name == f"{OWN}batches"},
    )
