"""``python -m benchmarks.grpc_aio_client ADDRESS METHOD MESSAGE_FILE SECONDS``: a closed loop of one over grpc.aio.

A process of its own, as our sender is one. It prints its median in microseconds: from the call to its awaited answer.
"""

import asyncio
import gc
import sys
import time
from pathlib import Path
from statistics import median

import grpc.aio  # type: ignore[import-untyped]


async def measure(address: str, method: str, message: bytes, seconds: float) -> float:
    """Median latency of calls one after another, in us; the first quarter of a second is not counted."""
    async with grpc.aio.insecure_channel(address) as channel:
        call = channel.unary_unary(method)
        latencies_us = []
        counted_from_s = time.perf_counter() + 0.25
        while (began_ns := time.perf_counter_ns()) / 1e9 < counted_from_s + seconds:
            await call(message)
            if began_ns / 1e9 >= counted_from_s:
                latencies_us.append((time.perf_counter_ns() - began_ns) / 1e3)
    return median(latencies_us)


if __name__ == "__main__":
    gc.disable()
    print(asyncio.run(measure(sys.argv[1], sys.argv[2], Path(sys.argv[3]).read_bytes(), float(sys.argv[4]))))
