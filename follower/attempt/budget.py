"""How long an attempt may take at most, from its assignment."""

from shared.jobs import wall_cap
from shared.wire.assignment import Assignment


def wall_cap_ns(assignment: Assignment) -> int:
    """The cap that the leader knows, too: it ends the run a minute later, should the follower not."""
    pins = (assignment.model, assignment.dataset, assignment.trace)
    return wall_cap.wall_cap_ns(assignment.spec, sum(pin.size_bytes for pin in pins if pin is not None))
