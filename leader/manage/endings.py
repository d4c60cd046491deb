"""How runs ended, and why: since this leader started. Runs that an older record stands in for are not among them."""

from collections import Counter

from leader.perfdb.entities import Run


class Endings:
    """Counts, by state and cause; the cause of a success is ""."""

    def __init__(self) -> None:
        self.by_end: Counter[tuple[str, str]] = Counter()

    async def watch(self, run: Run) -> None:
        """A run moved."""
        status = run.status
        if status.state.is_terminal:
            self.by_end[status.state.value, status.cause.value if status.cause else ""] += 1
