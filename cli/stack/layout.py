"""Where everything of the embedded stack lies: inside one folder, and nowhere else."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class DataDir:
    """The paths below one data folder. ``root`` is absolute."""

    root: Path

    @property
    def database(self) -> Path:
        return self.root / "db"

    @property
    def broker(self) -> Path:
        return self.root / "broker"

    @property
    def broker_config(self) -> Path:
        return self.broker / "valkey.conf"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def work(self) -> Path:
        return self.root / "follower"

    @property
    def temporary(self) -> Path:
        return self.root / "tmp"

    @property
    def admin_token(self) -> Path:
        return self.root / "admin.token"

    @property
    def follower_token(self) -> Path:
        return self.root / "follower.token"

    @property
    def stack_file(self) -> Path:
        return self.root / "stack.json"

    @property
    def lock_file(self) -> Path:
        return self.root / "stack.lock"

    @property
    def database_pid(self) -> Path:
        return self.root / "db.pid"

    def log_of(self, child: str) -> Path:
        """The log file of one child."""
        return self.logs / f"{child}.log"

    def make(self) -> None:
        """Makes the folders, closed to other users. Temporary files of an earlier stack are left to it to have removed.

        Raises:
            OSError: a folder cannot be made.
        """
        self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        for folder in (self.database, self.broker, self.logs, self.work, self.temporary):
            folder.mkdir(exist_ok=True, mode=0o700)
