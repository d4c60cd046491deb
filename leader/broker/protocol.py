"""The doorbell: a hint to a follower that its list changed. Losing one costs seconds, never a run."""

from typing import Protocol


class Bell(Protocol):
    """Rings followers. A ring is never waited for, and its failure never reaches the caller."""

    def ring(self, follower: str) -> None:
        """Ask for a ring and return at once; rings of one follower may be merged."""
        ...

    def close(self) -> None:
        """Stop ringing; what has not been sent is dropped."""
        ...

    @property
    def failures(self) -> int:
        """Rings that could not be sent since the start."""
        ...


def bell_queue(follower: str) -> str:
    """The Celery queue that a follower listens on."""
    return f"inferbench.bell.{follower}"
