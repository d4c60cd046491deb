"""``python -m benchmarks [NAME...]``: measures the figures named, or all, and prints them with their targets."""

import math
import sys
import traceback
from typing import Final

from benchmarks.canonical_parity import canonical_parity
from benchmarks.claim_latency import claim_latency
from benchmarks.closed_loop import closed_loop_300us, closed_loop_grpc, closed_loop_null
from benchmarks.cold_start import cold_starts
from benchmarks.comparing import compare_power
from benchmarks.conformance import conformance
from benchmarks.container_launch import container_launch
from benchmarks.conversion import conversion
from benchmarks.figure import Benchmark, Figure, table
from benchmarks.identity_latency import onnxruntime_latency, triton_latency
from benchmarks.leader_footprint import idle_memory
from benchmarks.leader_start import explain_blocks, leader_start
from benchmarks.leaderboard_query import leaderboard_query
from benchmarks.live_replay import live_replay
from benchmarks.log_normal_latency import log_normal_loopback, log_normal_virtual
from benchmarks.network_links import network_links
from benchmarks.open_loop import open_loop_ceiling, send_lateness
from benchmarks.recording import record_cost, ten_million_summarised
from benchmarks.run_overhead import run_overhead
from benchmarks.scheduling import (
    batch_optimality,
    decision_time,
    scheduling_aging,
    scheduling_bound,
    scheduling_flood,
    scheduling_reuse,
    scheduling_speedup,
)
from benchmarks.service_throughput import service_throughput
from benchmarks.slo_search import slo_search
from benchmarks.stage_sum import stage_sum
from benchmarks.stall_and_overload import overload, stall
from benchmarks.submit_latency import submit_latency
from benchmarks.triton import triton_batching, triton_tracing

BENCHMARKS: Final[dict[str, Benchmark]] = {
    "closed-loop": closed_loop_300us,
    "closed-loop-null": closed_loop_null,
    "closed-loop-grpc": closed_loop_grpc,
    "service": service_throughput,
    "conversion": conversion,
    "container": container_launch,
    "cold-start": cold_starts,
    "onnxruntime": onnxruntime_latency,
    "triton": triton_latency,
    "triton-batching": triton_batching,
    "triton-trace": triton_tracing,
    "lateness": send_lateness,
    "ceiling": open_loop_ceiling,
    "stall": stall,
    "overload": overload,
    "log-normal": log_normal_virtual,
    "log-normal-loopback": log_normal_loopback,
    "compare": compare_power,
    "search": slo_search,
    "links": network_links,
    "record": record_cost,
    "summary": ten_million_summarised,
    "leader-memory": idle_memory,
    "leader-start": leader_start,
    "explain": explain_blocks,
    "submit": submit_latency,
    "claim": claim_latency,
    "overhead": run_overhead,
    "leaderboard": leaderboard_query,
    "live-replay": live_replay,
    "batch": batch_optimality,
    "speedup": scheduling_speedup,
    "bound": scheduling_bound,
    "reuse": scheduling_reuse,
    "aging": scheduling_aging,
    "flood": scheduling_flood,
    "decision": decision_time,
    "canonical-parity": canonical_parity,
    "stage-sum": stage_sum,
    "conformance": conformance,
}


def _measured(name: str) -> list[Figure]:
    """Its figures; a benchmark that breaks counts as missed, and the others go on."""
    try:
        return list(BENCHMARKS[name]())
    except Exception as error:  # noqa: BLE001 - whatever it is, it is told
        traceback.print_exc()
        return [Figure(name=name, measured=math.nan, unit="", low=0, detail=f"broke: {error!r:.200}")]


def main(names: list[str]) -> int:
    """Measures and prints; 1 if a target is missed, 2 for a name that nothing has."""
    if unknown := set(names) - set(BENCHMARKS):
        print(f"no such figure: {', '.join(sorted(unknown))}; there are {', '.join(BENCHMARKS)}", file=sys.stderr)
        return 2
    figures: list[Figure] = []
    for name in names or BENCHMARKS:
        print(f"measuring {name} ...", file=sys.stderr, flush=True)
        figures += _measured(name)
    print(table(figures))
    return 0 if all(figure.is_met for figure in figures) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
