"""How long first-come would make a new run wait: what aging measures a wait by.

The name is queueing theory's: the wait of a run that came now, which none need do (L. Takacs 1955).
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from shared.scheduling.snapshot import Snapshot


class _Pool(NamedTuple):
    """Slots that share work, directly or by way of others, and the runs that they share."""

    slots: int  # a bit for each, in the order of the snapshot
    needs: tuple[int, ...]  # codes
    queued_s: float


def virtual_waits(snapshot: Snapshot) -> NDArray[np.float64]:
    """Run -> the predicted seconds of all that waits for its slots and of what they still do, over their number; (n,).

    Slots belong together that one waiting run could take either of; so the queue for one device class says nothing
    about another's. Where no slot could take a run, one is assumed.
    """
    rows = snapshot.backlog.rows()
    by_code = np.zeros(len(snapshot.backlog.needs.things))
    for pool in _pools(snapshot):
        by_code[list(pool.needs)] = (pool.queued_s + _running_s(snapshot, pool)) / max(pool.slots.bit_count(), 1)
    found: NDArray[np.float64] = by_code[rows.needs]
    return found


def _pools(snapshot: Snapshot) -> list[_Pool]:
    rows, things = snapshot.backlog.rows(), snapshot.backlog.needs.things
    queued_s = np.bincount(rows.needs, weights=rows.predicted_s)
    slots = [(1 << index, slot) for index, slot in enumerate(snapshot.slots) if slot.accepts]
    pools: list[_Pool] = []
    for code in np.flatnonzero(queued_s).tolist():
        able = sum(bit for bit, slot in slots if snapshot.fits(things[code], slot))
        sharing = [pool for pool in pools if pool.slots & able]
        pools = [pool for pool in pools if not pool.slots & able]
        for pool in sharing:
            able |= pool.slots
        codes = (code, *(other for pool in sharing for other in pool.needs))
        pools.append(_Pool(able, codes, float(queued_s[list(codes)].sum())))
    return pools


def _running_s(snapshot: Snapshot, pool: _Pool) -> float:
    """Predicted rest of what runs on these slots."""
    return sum(
        max(slot.occupant.predicted_end_s - snapshot.now_s, 0.0)
        for index, slot in enumerate(snapshot.slots)
        if slot.occupant is not None and pool.slots >> index & 1
    )
