"""Found first on ``PYTHONPATH``, it puts the wall clock of a process wrong, and of all Python processes it starts.

``DAYS_AHEAD`` says by how much. Monotonic clocks stay as they are.
"""

import os
from datetime import UTC, datetime, timedelta

import shared.clock

AHEAD = timedelta(days=float(os.environ["DAYS_AHEAD"]))  # noqa: TID251 - the test's own


def _utc_now(self: shared.clock.SystemClock) -> datetime:  # noqa: ARG001 - a method
    return datetime.now(UTC) + AHEAD


shared.clock.SystemClock.utc_now = _utc_now  # type: ignore[method-assign]
