"""What the client alone can do, found out before the load, and told if the load asks for more."""

from dataclasses import dataclass

from follower.attempt.prepare import Prepared
from follower.attempt.story import Story
from follower.calibrate.cache import CalibrationCache
from follower.calibrate.calibrate import Calibrator, host_of
from follower.calibrate.null_process import CalibrationFailed
from follower.calibrate.trials import too_fast
from follower.load.protocol import LoadRequest, Sender
from follower.serve.protocol import Service
from shared.clock import Clock
from shared.measure.manifest import Calibration


@dataclass(frozen=True)
class Calibrated:
    """The figures, or why there are none."""

    calibration: Calibration | None
    why_not: str | None = None


def calibrate(
    prepared: Prepared, request: LoadRequest, *, sender: Sender, service: Service, story: Story, clock: Clock
) -> Calibrated:
    """Measures, or takes from the cache; a failure is told and costs the run nothing but these figures.

    Raises:
        AttemptFailed: the service is gone, or the attempt's time is up.
    """
    order, busy_share = prepared.order, prepared.preflight.busy_share
    story.tell("calibrating", "what this client alone can do, against a server that only answers")
    calibrator = Calibrator(
        sender=sender,
        cache=CalibrationCache(order.cache_dir, host_of(order.inventory)),
        server_cores=order.slot.server_cores,
        clock=clock,
        check=service.check,
        keeps=busy_share is None or busy_share <= order.max_busy_share,
    )
    try:
        found = calibrator.calibrate(request)
    except CalibrationFailed as error:
        story.tell("warning", f"the client could not be calibrated: {error}")
        return Calibrated(None, str(error))
    story.tell("calibrated", line_of(found), **found.model_dump(mode="json"))
    warning = too_fast(request.plan, found)
    if warning:
        story.tell("warning", warning)
    return Calibrated(found)


def line_of(found: Calibration) -> str:
    """The figures as people read them."""
    origin = " (known from an earlier run)" if found.reused else ""
    return (
        f"about {found.ceiling_rps:,.0f} requests/s over {found.connections} connection(s);"
        f" adds {found.added_p50_us:.0f} µs to a latency at p50, {found.added_p99_us:.0f} at p99;"
        f" sends {found.lateness_p50_us:.0f} µs late at p50, {found.lateness_p99_us:.0f} at p99{origin}"
    )
