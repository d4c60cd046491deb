"""The leader's settings: what is read, what is refused, what is never shown."""

import pytest

from leader.settings import LeaderSettings
from shared.errors import InvalidInput

MONGO = "mongodb://127.0.0.1:27017/inferbench"


@pytest.fixture(autouse=True)
def _only_the_database(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INFERBENCH_MONGO_URL", MONGO)


def test_only_the_database_is_required() -> None:
    """With nothing else set the leader listens on loopback, without a broker."""
    settings = LeaderSettings.from_environment()
    assert settings.mongo_url.get_secret_value() == MONGO
    assert settings.is_loopback
    assert settings.broker_url is None
    assert settings.lease.total_seconds() == 15


def test_all_problems_come_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every wrong variable is named in one message, by the name that the person set."""
    monkeypatch.setenv("INFERBENCH_PORT", "99999")
    monkeypatch.setenv("INFERBENCH_LEASE_S", "soon")
    monkeypatch.setenv("INFERBENCH_MONGO_URL", "postgres://db")
    with pytest.raises(InvalidInput) as refused:
        LeaderSettings.from_environment()
    named = {problem.path for problem in refused.value.problems}
    assert named == {"INFERBENCH_PORT", "INFERBENCH_LEASE_S", "INFERBENCH_MONGO_URL"}
    assert "must start with mongodb://" in refused.value.detail


def test_a_missing_database_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message says which variable is missing."""
    monkeypatch.delenv("INFERBENCH_MONGO_URL")
    with pytest.raises(InvalidInput, match="INFERBENCH_MONGO_URL: field required"):
        LeaderSettings.from_environment()


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("INFERBENCH_LEASE", "INFERBENCH_LEASE_S"),
        ("INFERBENCH_MONGODB_URL", "INFERBENCH_MONGO_URL"),
        ("INFERBENCH_TOKENS_DIR", "INFERBENCH_TOKEN_DIR"),
    ],
)
def test_a_misspelt_name_is_refused_with_the_right_one(monkeypatch: pytest.MonkeyPatch, wrong: str, right: str) -> None:
    """A setting that would be silently ignored is an error."""
    monkeypatch.setenv(wrong, "1")
    with pytest.raises(InvalidInput, match=f"{wrong}: no such setting; did you mean '{right}'"):
        LeaderSettings.from_environment()


@pytest.mark.parametrize(
    "name", ["LEADER_URL", "TOKEN_FILE", "TOKEN", "URL", "WORK_DIR", "LABELS", "MAX_CACHE_BYTES", "TEST_MONGO_URL"]
)
def test_settings_of_the_other_processes_are_left_alone(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """One environment may serve leader, follower and command line."""
    monkeypatch.setenv(f"INFERBENCH_{name}", "x")
    LeaderSettings.from_environment()


def test_a_password_in_an_address_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings may be printed or logged."""
    monkeypatch.setenv("INFERBENCH_BROKER_URL", "redis://:hunter2@127.0.0.1:6379/0")
    assert "hunter2" not in repr(LeaderSettings.from_environment())


def test_a_wrong_address_is_not_echoed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A refused value may hold a password, so the message does not repeat it."""
    monkeypatch.setenv("INFERBENCH_MONGO_URL", "http://user:hunter2@db")
    with pytest.raises(InvalidInput) as refused:
        LeaderSettings.from_environment()
    assert "hunter2" not in refused.value.detail
