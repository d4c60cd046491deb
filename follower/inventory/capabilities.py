"""What this follower announces, read off the tables that do the work: a new row there is announced by itself."""

from collections.abc import Mapping

from follower.attempt.prepare import SYNTHETIC
from follower.generate.datasets.builtin import builtin
from follower.link.drivers import networks
from follower.pipeline.chain import ops
from model_repo.canonical.families import families
from shared.jobs.workload import COLD_START
from shared.wire.identity import Capabilities, PlatformOffer
from shared.workload.arrivals import PATTERNS


def read_capabilities(
    offers: tuple[PlatformOffer, ...],
    labels: Mapping[str, str],
    endpoints: tuple[str, ...] = (),
    endpoint_secrets: tuple[str, ...] = (),
) -> Capabilities:
    """Everything that can be run here. Without an allow-list there is no platform ``endpoint``."""
    return Capabilities(
        platforms=tuple(offer for offer in offers if endpoints or offer.platform != "endpoint"),
        patterns=(*PATTERNS, COLD_START),
        networks=networks(),
        pipeline_sides=tuple(sorted({side for offer in offers for side in offer.pipeline_sides})),
        ops=ops(),
        model_families=families(),
        datasets=(SYNTHETIC, *builtin()),
        labels=dict(labels),
        endpoints=endpoints,
        endpoint_secrets=endpoint_secrets,
    )
