"""Which queued run a free slot takes: what it can run, in the order of the policy."""

from collections.abc import Iterable

from shared.scheduling.capability import unmet
from shared.scheduling.order import DEFAULT_POLICY, Candidate, order
from shared.wire.identity import Capabilities, Slot


def choose(
    candidates: Iterable[Candidate], capabilities: Capabilities, slot: Slot, *, policy: str = DEFAULT_POLICY
) -> str | None:
    """The id of the run that ``slot`` should take, or None if it can run none of them.

    Raises:
        InvalidInput: no such policy.
    """
    ordered = order(candidates, policy)
    return next((c.run_id for c in ordered if not unmet(c.needs, capabilities, slot=slot)), None)
