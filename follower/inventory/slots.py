"""Which cores serve and which cores load: pure, from the machine's cores to its slots."""

from collections.abc import Sequence

from shared.wire.identity import Slot

CLIENT_SHARE = 4
"""One core in four (at least one) sends the load; the others serve."""


def cpu_slots(siblings: Sequence[Sequence[int]]) -> tuple[Slot, ...]:
    """One slot over all cores, client and server apart wherever there are two or more.

    ``siblings`` groups hardware threads by physical core: threads of one core stay on one side, because they share
    its units. A machine with a single core gives both sides the same one.
    """
    groups = [tuple(group) for group in siblings]
    if len(groups) == 1:
        groups = [(thread,) for thread in groups[0]]
    clients = max(1, len(groups) // CLIENT_SHARE)
    client_cores = _flatten(groups[:clients])
    server_cores = _flatten(groups[clients:]) or client_cores
    return (Slot(name="cpu", device="cpu", server_cores=server_cores, client_cores=client_cores),)


def _flatten(groups: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    return tuple(sorted(core for group in groups for core in group))
