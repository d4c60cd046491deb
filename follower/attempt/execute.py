"""One attempt, phase by phase: prepare, start the service, benchmark it, stop it."""

from collections.abc import Iterator
from contextlib import contextmanager

from follower.attempt.order import AttemptDir, AttemptOrder
from follower.attempt.prepare import Prepared, prepare
from follower.attempt.story import Story
from follower.serve.platforms import find_platform
from follower.serve.protocol import Service
from shared.clock import Clock
from shared.jobs.workload import ColdStartWorkload
from shared.measure.record import Record


def execute(order: AttemptOrder, directory: AttemptDir, story: Story, clock: Clock) -> Record:
    """Carry the order out; the samples are left in ``directory``.

    Raises:
        AttemptFailed: with the cause and the tail of the log that explains it.
    """
    started_at = clock.utc_now()
    prepared = prepare(order, directory, story)
    workload = order.assignment.spec.workload
    if isinstance(workload, ColdStartWorkload):
        from follower.attempt.cold_start import measure_cold_starts  # noqa: PLC0415 - seldom needed

        return measure_cold_starts(prepared, workload, story, clock, started_at)
    with prepared.link, started_service(prepared, story) as service:
        from follower.attempt.benchmark import benchmark  # noqa: PLC0415 - imported while the service starts

        return benchmark(prepared, service, story, clock, started_at)


@contextmanager
def started_service(prepared: Prepared, story: Story) -> Iterator[Service]:
    """The service, for as long as it is needed; whatever happens, it is stopped."""
    request = prepared.serve_request()
    wanted = request.service
    cores = ",".join(map(str, request.server_cores)) or "any"
    story.tell("starting-server", f"{wanted.platform} as {wanted.launch} on cores {cores}")
    service = find_platform(wanted.platform).start(request)
    try:
        yield service
    finally:
        service.stop()
