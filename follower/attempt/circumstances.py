"""What the columns cannot tell, put together for the raw file and the analysis. Pure."""

from follower.attempt.calibration import Calibrated
from follower.attempt.measure import Readings
from follower.attempt.order import AttemptOrder
from follower.load.protocol import LoadOutcome, LoadRequest
from shared.measure.link import LinkReading
from shared.measure.manifest import Circumstances, HostLimits, Manifest


def circumstances_of(
    order: AttemptOrder,
    outcome: LoadOutcome,
    readings: Readings,
    calibrated: Calibrated,
    *,
    host_cores: int,
    busy_before: float | None,
    link: LinkReading | None = None,
) -> Circumstances:
    """Everything beside the columns that the analysis reads."""
    spec = order.assignment.spec
    unavailable = dict(readings.unavailable)
    if calibrated.why_not is not None:
        unavailable["calibration"] = calibrated.why_not
    return Circumstances(
        origin_ns=outcome.origin_ns,
        max_in_flight=outcome.max_in_flight,
        mean_in_flight=outcome.mean_in_flight,
        batch_size=spec.requests.batch_size,
        client_cores=outcome.workers,  # each sender has one core
        host_cores=host_cores,
        workers=outcome.workers,
        slo=spec.slo,
        calibration=calibrated.calibration,
        server=tuple(readings.server),
        client=tuple(readings.client),
        host=tuple(readings.host),
        devices=tuple(readings.devices),
        busy_before=busy_before,
        limits=limits_of(order),
        counters=tuple(readings.counters),
        unavailable=unavailable,
        collector_cpu_ns=readings.cpu_ns,
        link=link,
    )


def limits_of(order: AttemptOrder) -> HostLimits | None:
    """By the follower's settings; a follower that does not look at its host does not judge it either."""
    if order.preflight == "off":
        return None
    return HostLimits(mark_above=order.max_busy_share, invalid_above=order.invalid_busy_share)


def manifest_of(order: AttemptOrder, request: LoadRequest, circumstances: Circumstances) -> Manifest:
    """The raw file's description of its run."""
    assignment = order.assignment
    return Manifest(
        run_id=assignment.run_id,
        attempt=assignment.attempt,
        spec=assignment.spec.model_dump(mode="json"),
        payload_count=len(request.encoded or request.raw),
        plan_sha256=request.plan.sha256,
        circumstances=circumstances,
    )
