"""The measured part of an attempt: load on, resources sampled, service watched; everything else holds still."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from follower.attempt.story import Story
from follower.collect.sampler import ProcessSampler
from follower.inventory.preflight import SHORTEST_NS, CpuReading, busy_share, read_cpu_ticks
from follower.load.protocol import LoadOutcome, LoadRequest, Sender
from follower.serve.protocol import Service
from shared.measure.record import Resources
from shared.workload.plan import Plan

TOLD_EVERY_NS: Final = 1_000_000_000
TOLD_AT_MOST: Final = 20
"""A long run tells of itself less often: each event costs the agent and the leader a little work."""


@dataclass
class Measuring:
    """What happens beside the sender, a few times a second, in the attempt's own process on the client's cores."""

    plan: Plan
    service: Service
    story: Story
    cores: Sequence[int]  # the slot's
    own_pids: Sequence[int]  # the attempt and the agent
    server: ProcessSampler | None = None
    client: ProcessSampler | None = None
    before: CpuReading | None = None  # first of the window
    after: CpuReading | None = None  # last of the window
    _origin_ns: int = 0
    _told_ns: int = 0
    _pids: tuple[int, ...] = ()

    def on_start(self, origin_ns: int, sender_pids: Sequence[int]) -> None:
        """The first request is about to be due."""
        self._origin_ns = origin_ns
        self._pids = (*self.service.pids(), *sender_pids, *self.own_pids)
        self.server = ProcessSampler(self.service.pids())
        self.client = ProcessSampler(sender_pids)
        for sampler in (self.server, self.client):
            sampler.start()
        if self.plan.warmup_ns:
            self.story.tell("warming-up", f"load for {self.plan.warmup_ns / 1e9:g} s before the window")

    def keep_going(self) -> None:
        """Raises AttemptFailed once the service is gone, so that nobody waits for what cannot come."""
        self.service.check()
        if self.server is None or self.client is None:
            return
        elapsed_ns = time.monotonic_ns() - self._origin_ns
        if self.plan.warmup_ns <= elapsed_ns < self.plan.end_ns:
            self._look(elapsed_ns - self.plan.warmup_ns)

    def busy_share(self) -> float | None:
        """Use of the slot's cores by others inside the window; None where it was too short to tell."""
        if self.before is None or self.after is None or self.after.at_ns - self.before.at_ns < SHORTEST_NS:
            return None
        return busy_share(self.before, self.after)

    def server_resources(self) -> Resources:
        """Use by the service inside the window."""
        return self._resources(self.server)

    def client_resources(self) -> Resources:
        """Use by the senders inside the window."""
        return self._resources(self.client)

    def _resources(self, sampler: ProcessSampler | None) -> Resources:
        if sampler is None:
            return Resources(cpu_mean_pct=None, cpu_max_pct=None, rss_max_bytes=None, samples=0)
        start_ns = self._origin_ns + self.plan.warmup_ns
        return sampler.summary(start_ns, start_ns + self.plan.duration_ns)

    def _look(self, into_window_ns: int) -> None:
        reading = read_cpu_ticks(self.cores, self._pids)
        self.before, self.after = self.before or reading, reading
        if self.server and self.client:
            self.server.sample()
            self.client.sample()
        if into_window_ns >= self._told_ns:
            self._told_ns = into_window_ns + max(TOLD_EVERY_NS, self.plan.duration_ns // TOLD_AT_MOST)
            done_s, all_s = into_window_ns / 1e9, self.plan.duration_ns / 1e9
            self.story.tell("measuring", f"{done_s:.0f} of {all_s:g} s", elapsed_s=round(done_s, 1), duration_s=all_s)


def run_load(sender: Sender, request: LoadRequest, measuring: Measuring) -> LoadOutcome:
    """The plan, start to end.

    Raises:
        AttemptFailed: the service or the sender ended early.
    """
    return sender.run(request, on_start=measuring.on_start, keep_going=measuring.keep_going)
