"""How long an attempt may take at most: pure arithmetic from its assignment."""

from typing import Final

from shared.wire.assignment import Assignment

SLACK_NS: Final = 60_000_000_000
"""For what the job file says nothing of: imports, generating a model, checking answers, storing the samples."""
CALIBRATION_NS: Final = 20_000_000_000
"""Two loads of half a second, the starts of their processes, and time limits of 2 s where nothing is answered."""
SLOWEST_TRANSFER_BYTES_PER_S: Final = 1_000_000


def wall_cap_ns(assignment: Assignment) -> int:
    """Predicted time of the attempt plus slack, in ns; an attempt that takes longer is given up."""
    workload = assignment.spec.workload
    load_ns = workload.warmup + workload.duration + 2 * workload.request_timeout
    return assignment.spec.service.ready_timeout + load_ns + _transfer_ns(assignment) + CALIBRATION_NS + SLACK_NS


def _transfer_ns(assignment: Assignment) -> int:
    pins = (assignment.model, assignment.dataset, assignment.trace)
    size_bytes = sum(pin.size_bytes for pin in pins if pin is not None)
    return size_bytes * 1_000_000_000 // SLOWEST_TRANSFER_BYTES_PER_S
