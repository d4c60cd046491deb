"""Collections, every index, and the schema version.

Every list is read with equality on an index's first fields and sorted by the fields behind them, no more and no
less: only then does each server that this runs on take the order from the index.
"""

from collections.abc import Mapping
from typing import Final

from pymongo import ASCENDING, DESCENDING, IndexModel

from shared.measure.metrics import METRICS

SCHEMA_VERSION: Final = 1

JOBS: Final = "jobs"
RUNS: Final = "runs"
EVENTS: Final = "events"
ATTEMPTS: Final = "attempts"
ARTIFACTS: Final = "artifacts"
RECORDS: Final = "records"
LEADERBOARD: Final = "leaderboard"
TASKS: Final = "tasks"
FOLLOWERS: Final = "followers"
LEADERS: Final = "leaders"
TOKENS: Final = "tokens"
MODELS: Final = "models"
DATASETS: Final = "datasets"
SPENT: Final = "spent"
SETTINGS: Final = "settings"
CONVERSIONS: Final = "conversions"
META: Final = "meta"

_UP, _DOWN = ASCENDING, DESCENDING

_VERSIONS: Final = (
    IndexModel([("name", _UP), ("version", _DOWN)], name="versions", unique=True),
    IndexModel([("state", _UP), ("created_at_us", _UP)], name="pending"),
)

INDEXES: Final[Mapping[str, tuple[IndexModel, ...]]] = {
    JOBS: (
        IndexModel([("owner", _UP), ("idempotency_key", _UP)], name="idempotency", unique=True),
        IndexModel([("complete", _UP), ("seq", _UP)], name="incomplete"),
        IndexModel([("searching", _UP), ("seq", _UP)], name="searching"),
        IndexModel([("seq", _DOWN)], name="newest"),
        IndexModel([("team", _UP), ("seq", _DOWN)], name="team"),
        IndexModel([("name", _UP), ("seq", _DOWN)], name="name"),
    ),
    RUNS: (
        IndexModel([("status.state", _UP), ("rank", _UP), ("predicted_s", _UP), ("seq", _UP)], name="queue"),
        IndexModel([("job_id", _UP), ("index", _UP)], name="job"),
        IndexModel([("status.state", _UP), ("status.lease.expires_at_us", _UP)], name="leases"),
        IndexModel([("status.state", _UP), ("recorded", _UP), ("seq", _UP)], name="unrecorded"),
        IndexModel([("model.name", _UP), ("model.version", _UP), ("status.state", _UP)], name="model"),
        # Two live attempts on one slot are impossible, because this index refuses the second.
        IndexModel(
            [("status.lease.follower", _UP), ("status.lease.slot", _UP)],
            name="one_attempt_per_slot",
            unique=True,
            partialFilterExpression={"status.lease.slot": {"$exists": True}},
        ),
    ),
    EVENTS: (IndexModel([("run_id", _UP), ("position", _UP)], name="story"),),
    ATTEMPTS: (IndexModel([("run_id", _UP)], name="run"),),
    ARTIFACTS: (IndexModel([("run_id", _UP), ("attempt", _UP)], name="attempt"),),
    RECORDS: (
        IndexModel([("seq", _DOWN)], name="newest"),
        *(IndexModel([(field, _UP), ("seq", _DOWN)], name=field) for field in ("job_id", "model", "platform", "team")),
    ),
    LEADERBOARD: (
        *(
            IndexModel([("key", _DOWN), ("ranked", _DOWN), (f"score.{metric}", _DOWN), ("seq", _DOWN)], name=metric)
            for metric in METRICS
        ),
        *(IndexModel([(field, _UP), ("key", _UP)], name=field) for field in ("job_id", "model", "platform", "team")),
        IndexModel([("point_key", _DOWN), ("ranked", _DOWN), ("seq", _DOWN)], name="reuse"),
    ),
    TASKS: (IndexModel([("last_at_us", _DOWN)], name="recent"),),
    SPENT: (IndexModel([("ended_at_us", _DOWN)], name="newest"),),
    TOKENS: (IndexModel([("sha256", _UP)], name="sha256"),),
    MODELS: _VERSIONS,
    DATASETS: _VERSIONS,
    CONVERSIONS: (
        IndexModel([("owner", _UP), ("idempotency_key", _UP)], name="idempotency", unique=True),
        IndexModel([("seq", _DOWN)], name="newest"),
        IndexModel([("state", _UP), ("seq", _UP)], name="state"),
        IndexModel([("model", _UP), ("version", _UP), ("state", _UP)], name="model"),
    ),
}
