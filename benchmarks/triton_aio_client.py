"""``python -m benchmarks.triton_aio_client PROTOCOL ADDRESS MODEL INPUT OUTPUT WIDTH SECONDS``: tritonclient's aio.

One call after another, in a process of its own, as our sender is one. It prints its median in microseconds: from the
call to the answer as an array. The request is built once, as ours is.
"""

import asyncio
import gc
import sys
import time
from importlib import import_module
from statistics import median
from typing import Any

import numpy as np


async def measure(
    protocol: str, address: str, model: str, *, names: tuple[str, str], width: int, seconds: float
) -> float:
    """Median latency of calls one after another, in us; the first half second is not counted."""
    library: Any = import_module(f"tritonclient.{protocol}.aio")
    tensor = library.InferInput(names[0], [1, width], "FP32")
    tensor.set_data_from_numpy(np.zeros((1, width), np.float32))
    client = library.InferenceServerClient(address)
    try:
        latencies_us = []
        counted_from_s = time.perf_counter() + 0.5
        while (began_ns := time.perf_counter_ns()) / 1e9 < counted_from_s + seconds:
            answer = await client.infer(model, [tensor])
            answer.as_numpy(names[1])
            if began_ns / 1e9 >= counted_from_s:
                latencies_us.append((time.perf_counter_ns() - began_ns) / 1e3)
    finally:
        await client.close()
    return median(latencies_us)


if __name__ == "__main__":
    gc.disable()
    spoken, where, served, source, result, size, duration = sys.argv[1:]
    names = (source, result)
    print(asyncio.run(measure(spoken, where, served, names=names, width=int(size), seconds=float(duration))))
