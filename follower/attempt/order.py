"""What the agent hands to an attempt, and where the attempt leaves what it made."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import Field

from shared.wire.assignment import Assignment
from shared.wire.identity import Inventory, Slot, Wire


class AttemptOrder(Wire):
    """Everything that an attempt needs to know; assignment.json of its directory."""

    follower: str
    incarnation: str
    slot: Slot
    inventory: Inventory
    assignment: Assignment
    leader_url: str
    token_file: Path
    cache_dir: Path
    max_cache_bytes: int
    preflight: Literal["mark", "refuse", "off"]
    max_busy_share: float
    invalid_busy_share: float
    endpoint_hosts: tuple[str, ...] = ()  # what platform endpoint may load
    endpoint_ca_file: Path | None = None  # authorities that it trusts beside the system's
    endpoint_secrets_file: Path | None = None  # where the operator's secrets are; never what they are
    images: dict[str, str] = Field(default_factory=dict)  # platform -> container image, where the operator chose


@dataclass(frozen=True)
class AttemptDir:
    """The directory of one attempt."""

    root: Path

    @property
    def order(self) -> Path:
        return self.root / "assignment.json"

    @property
    def outcome(self) -> Path:
        """A Success or a Failure; written last and whole, so that its presence means that the attempt ended."""
        return self.root / "outcome.json"

    @property
    def last_word(self) -> Path:
        """A Failure: why the agent ended the attempt, where it did."""
        return self.root / "last-word.json"

    @property
    def samples(self) -> Path:
        return self.root / "samples.parquet"

    @property
    def log(self) -> Path:
        return self.root / "attempt.log"

    @property
    def model(self) -> Path:
        """The folder of the model that is served."""
        return self.root / "model"

    @property
    def server(self) -> Path:
        """The serving platform's own directory."""
        return self.root / "server"

    def read_order(self) -> AttemptOrder:
        """The order that was written when the attempt was started."""
        return AttemptOrder.model_validate_json(self.order.read_bytes())


EXIT_DISK_FULL = 73
"""Exit status (sysexits' EX_CANTCREAT) of an attempt that could not even write down how it ended."""
