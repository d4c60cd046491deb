"""A run's story: the leader's events in the run, the follower's in their own collection, read as one."""

from collections.abc import AsyncIterator

from shared.wire.views import EventView


class Events:
    """Reads events and waits for new ones."""

    async def after(self, run_id: str, last_event_id: str | None) -> tuple[EventView, ...]:
        """Events behind ``last_event_id`` ("FENCE.N"; None: from the start). Raises NotFound, InvalidInput."""
        raise NotImplementedError

    def follow(
        self, run_id: str, last_event_id: str | None, *, idle_s: float = 15.0
    ) -> AsyncIterator[EventView | None]:
        """Events as they come, until the run's last one. None after ``idle_s`` without any: time for a sign of life.

        Raises:
            NotFound, InvalidInput: at the first item.
        """
        raise NotImplementedError
