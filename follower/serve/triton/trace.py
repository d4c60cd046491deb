"""Triton's trace of single requests: how long each waited and was computed, by the id that the sender gave it. Pure.

Source: Triton's page "Trace", trace mode ``triton``, level TIMESTAMPS. The file is a JSON array with an object for each
event; it is read by pattern, because as JSON a minute of load would take gigabytes. The clock is the server's own, so
only differences leave this module.
"""

import re
from typing import Final

import numpy as np

from follower.serve.protocol import RequestStages

_EVENT: Final = re.compile(
    rb'\{"id":(\d+),(?:"timestamps":\[\{"name":"(QUEUE_START|COMPUTE_START|COMPUTE_END)","ns":(\d+)\}\]'
    rb'|"model_name":"[^"]*","model_version":-?\d+,"request_id":"(\d+)")'
)


def request_stages(trace: bytes) -> RequestStages:
    """Every request that was traced to its end under a number of ours; of a number seen twice, the last one.

    Queue: from when the scheduler got the request until a model instance took it up. Inference: from then until its
    outputs were written, with the handing over of tensors to the back end's process and back.
    """
    numbers: dict[int, int] = {}  # trace -> request
    events: dict[int, dict[bytes, int]] = {}
    for found in _EVENT.finditer(trace):
        key, name, ns, number = found.groups()
        if number is not None:
            numbers[int(key)] = int(number)
        else:
            events.setdefault(int(key), {})[name] = int(ns)
    stages = {
        number: (seen[b"COMPUTE_START"] - seen[b"QUEUE_START"], seen[b"COMPUTE_END"] - seen[b"COMPUTE_START"])
        for key, number in numbers.items()
        if len(seen := events.get(key, {})) == len((b"QUEUE_START", b"COMPUTE_START", b"COMPUTE_END"))
    }
    durations = np.array(list(stages.values()), dtype=np.int64).reshape(-1, 2)
    return RequestStages(
        request_id=np.array(list(stages), dtype=np.int64), queue_ns=durations[:, 0], inference_ns=durations[:, 1]
    )
