"""How long an attempt may take at most: pure arithmetic from what it was given, the same for leader and follower."""

from typing import Final

from shared.jobs.spec import RunSpec
from shared.jobs.workload import ColdStartWorkload

SLACK_NS: Final = 60_000_000_000
"""For what the job file says nothing of: imports, generating a model, checking answers, storing the samples."""
CALIBRATION_NS: Final = 20_000_000_000
"""Two loads of half a second, the starts of their processes, and time limits of 2 s where nothing is answered."""
SLOWEST_TRANSFER_BYTES_PER_S: Final = 1_000_000
LINK_NS: Final = 150_000_000_000
"""A network link is measured three times at most: 5 s of messages, and 20 s of transfer each way."""
LONGEST_STEADY_RUN_NS: Final = 30_000_000_000
"""The inferences after a cold start end then, however many are left."""
STOP_NS: Final = 15_000_000_000
"""To end a service by force and to see that nothing of it is left."""


def wall_cap_ns(spec: RunSpec, transfer_bytes: int) -> int:
    """Predicted time of the attempt plus slack, in ns; an attempt that takes longer is given up.

    Args:
        spec: of the run.
        transfer_bytes: of the model, dataset and trace that the follower may have to fetch first.
    """
    transfer_ns = transfer_bytes * 1_000_000_000 // SLOWEST_TRANSFER_BYTES_PER_S
    link_ns = 0 if spec.network == "none" else LINK_NS
    return _work_ns(spec) + transfer_ns + link_ns + CALIBRATION_NS + SLACK_NS


def _work_ns(spec: RunSpec) -> int:
    workload, start_ns = spec.workload, spec.service.ready_timeout
    if isinstance(workload, ColdStartWorkload):
        return workload.repeats * (start_ns + LONGEST_STEADY_RUN_NS + workload.request_timeout + STOP_NS)
    return start_ns + workload.load_ns + 2 * workload.request_timeout
