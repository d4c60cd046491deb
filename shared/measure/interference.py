"""What others did to the host while it measured, against the limits that the follower set itself."""

from collections.abc import Iterator

from shared.measure.manifest import HostLimits
from shared.measure.record import HostUse


def interference(host: HostUse, limits: HostLimits | None) -> Iterator[str]:
    """Each reason not to believe the run at all."""
    if limits is None:
        return
    shares = (
        (host.foreign_share, limits.invalid_above, "others used {} of the slot's cores"),
        (host.steal_share, limits.steal_invalid_above, "other virtual machines took {} of the slot's cores"),
        (host.throttled_share, limits.throttled_invalid_above, "a CPU quota held the run back for {} of the time"),
    )
    for share, most, text in shares:
        if share is not None and share > most:
            yield f"interference: {text.format(f'{share:.1%}')} inside the window, more than {most:.0%}"


def disturbance(host: HostUse, busy_before: float | None, limits: HostLimits | None) -> Iterator[str]:
    """Each reason to look twice."""
    if limits is None:
        return
    share, most = host.foreign_share, limits.mark_above
    if share is not None and most < share <= limits.invalid_above:
        yield f"host busy: others used {share:.1%} of the slot's cores inside the window, more than {most:.0%}"
    if busy_before is not None and busy_before > most:
        yield f"host busy: others used {busy_before:.1%} of the slot's cores before the start, more than {most:.0%}"
