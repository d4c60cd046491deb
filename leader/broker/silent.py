"""No broker: followers poll."""


class SilentBell:
    """Rings nobody."""

    failures = 0

    def ring(self, follower: str) -> None:
        """Nothing: the follower looks at its list by itself."""

    def close(self) -> None:
        """Nothing to stop."""
