"""The leader's list of followers."""

from shared.wire.identity import Heartbeat, Registration, RegistrationAnswer
from shared.wire.views import FollowerView


class Followers:
    """Registration, heartbeats, the list."""

    async def register(self, registration: Registration) -> RegistrationAnswer:
        """Remember the follower. A new incarnation voids the leases of the older one: their runs are requeued."""
        raise NotImplementedError

    async def heartbeat(self, name: str, beat: Heartbeat) -> None:
        """It is alive. Raises NotFound (register first), Conflict where another incarnation is registered."""
        raise NotImplementedError

    async def list(self) -> tuple[FollowerView, ...]:
        """By name; ``alive``: heard of within the lease."""
        raise NotImplementedError
