"""Numbers of runs that were not run: whose they are stands beside them, always. Views in, text out."""

from cli.quantities import printable
from shared.wire.views import OriginView


def origin_text(origin: OriginView) -> str:
    """``reused from run j-... .0000 measured 2026-11-22 12:00 UTC on lab-1; nothing was run``."""
    measured = f"measured {origin.measured_at:%Y-%m-%d %H:%M} UTC on {origin.follower}"
    return printable(f"reused from run {origin.run_id} {measured}; nothing was run")
