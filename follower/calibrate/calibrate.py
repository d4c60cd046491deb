"""Self-calibration: the run's own sender, its own requests, against a server that does nothing but answer."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from follower.calibrate.cache import CalibrationCache
from follower.calibrate.exchange import script_of
from follower.calibrate.null_process import CalibrationFailed, NullServer, null_server
from follower.calibrate.replies import Script
from follower.calibrate.shape import Host, shape_of
from follower.calibrate.trials import calibration_of, ceiling_plan, ceiling_rps, lateness_plan, one_payload
from follower.load.protocol import LiveRows, LoadOutcome, LoadRequest, Sender
from follower.load.work import work_of
from shared.clock import Clock
from shared.errors import AttemptFailed
from shared.jobs.lifecycle import Cause
from shared.measure.manifest import Calibration
from shared.wire.identity import Inventory
from shared.workload.plan import Plan

BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
_OURS: Final = ("python", "inferbench", "numpy")


@dataclass(frozen=True, kw_only=True)
class Calibrator:
    """Finds out what the client alone can do."""

    sender: Sender
    cache: CalibrationCache
    server_cores: Sequence[int]
    clock: Clock
    check: Callable[[], None]  # raises once the measured service is gone
    keeps: bool = True  # False on a busy host: what is found there holds for this run only

    def calibrate(self, request: LoadRequest) -> Calibration:
        """Of this load's shape, from the cache where it is known.

        Raises:
            CalibrationFailed: it cannot be found out; the run goes on without.
            AttemptFailed: the service is gone, or the attempt's time is up.
        """
        try:
            alone = one_payload(request)
            script = script_of(request.target, work_of(alone).request(0), request.request_timeout_ns)
            shape = shape_of(request, script, tuple(self.server_cores))
            known = self.cache.find(shape)
            if known is not None:
                return known
            calibration = self._measure(alone, script)
        except (AttemptFailed, OSError) as error:
            self.check()
            if isinstance(error, AttemptFailed) and error.cause is Cause.TIMED_OUT:
                raise
            raise CalibrationFailed(str(error)) from error
        if self.keeps:
            self.cache.keep(shape, calibration)
        return calibration

    def _measure(self, request: LoadRequest, script: Script) -> Calibration:
        with null_server(script, self.server_cores, request.folder) as server:
            plan = ceiling_plan(request)
            ceiling = ceiling_rps(self._send(request, plan, server), plan)
            open_plan = lateness_plan(request.plan.rate_rps, ceiling)
            outcome = self._send(request, open_plan, server)
        return calibration_of(
            request, script, ceiling=ceiling, open_loop=outcome, plan=open_plan, measured_at=self.clock.utc_now()
        )

    def _send(self, request: LoadRequest, plan: Plan, server: NullServer) -> LoadOutcome:
        target = replace(request.target, host=server.host, port=server.port, tls=None, secret=None)

        def keep_going() -> None:
            server.check()
            self.check()

        return self.sender.run(replace(request, plan=plan, target=target), on_start=_ignore, keep_going=keep_going)


def host_of(inventory: Inventory, boot_id: Path = BOOT_ID) -> Host:
    """This host as a calibration sees it; where the kernel tells no boot apart, the rest has to."""
    try:
        boot = boot_id.read_text().strip()
    except OSError:
        boot = ""
    return Host(
        boot_id=boot,
        kernel=inventory.kernel,
        cpu_model=inventory.cpu_model,
        governor=inventory.governor,
        versions={name: inventory.versions[name] for name in _OURS if name in inventory.versions},
    )


def _ignore(_origin_ns: int, _pids: Sequence[int], _live: LiveRows) -> None:
    """Nobody watches a calibration."""
