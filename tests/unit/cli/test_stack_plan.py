"""The stack as data: what starts, in which order, with what, and what it must not get."""

import shlex
from pathlib import Path

import pytest

from cli.stack.demo import tour
from cli.stack.layout import DataDir
from cli.stack.plan import FOLLOWER_TUNING, LEADER_TUNING, ChildPlan, Ports, Programs, StackPlan, plan_stack
from cli.stack.readiness import BrokerAnswers, FollowerAlive, HttpAnswers, PortOpen
from follower.settings import FollowerSettings
from leader.settings import LeaderSettings

DATA = DataDir(Path("/data dir"))
CALLER = {
    "PATH": "/bin",
    "HOME": "/home/me",
    "AWS_SECRET_ACCESS_KEY": "x",
    "HTTP_PROXY": "http://proxy",
    "INFERBENCH_TOKEN": "mine",
    "INFERBENCH_PORT": "1",
    "INFERBENCH_LEASE_S": "5",
    "INFERBENCH_LABELS": "zone=lab",
    "INFERBENCH_SLOT_LOCK_DIR": "/locks",
}


@pytest.fixture
def plan() -> StackPlan:
    """A stack on ports 1, 2 and 3."""
    programs = Programs(python="/venv/bin/python", database="/venv/bin/nx-27017", broker="/wheel/valkey-server")
    return plan_stack(DATA, Ports(leader=1, database=2, broker=3), programs, "pa55", CALLER)


def child(plan: StackPlan, name: str) -> ChildPlan:
    """The child of this name."""
    return next(child for child in plan.children if child.name == name)


def test_each_child_starts_after_what_it_needs(plan: StackPlan) -> None:
    """Stores before the leader, the leader before its follower and its converter."""
    assert [child.name for child in plan.children] == ["database", "broker", "leader", "follower", "converter"]


def test_everything_listens_on_loopback_only(plan: StackPlan) -> None:
    """The database has no authentication, so nobody else's machine may reach it."""
    database = child(plan, "database").argv
    assert database[database.index("--host") + 1] == "127.0.0.1"
    assert "bind 127.0.0.1\n" in plan.broker_config
    assert child(plan, "leader").environment["INFERBENCH_HOST"] == "127.0.0.1"
    assert plan.url == "http://127.0.0.1:1"


def test_no_file_lies_outside_the_data_folder(plan: StackPlan) -> None:
    """The database's own defaults are shared files in /tmp; each is overridden, and temporary files have a home."""
    database = child(plan, "database").argv
    for flag in ("--data-dir", "--pid-file"):
        assert database[database.index(flag) + 1].startswith("/data dir/")
    assert database[database.index("--log-file") + 1] == "/dev/null"
    assert 'dir "/data dir/broker"\n' in plan.broker_config
    assert {child.environment["TMPDIR"] for child in plan.children} == {"/data dir/tmp"}
    assert child(plan, "follower").environment["INFERBENCH_WORK_DIR"] == "/data dir/follower"
    assert child(plan, "converter").environment["INFERBENCH_WORK_DIR"] == "/data dir/follower"
    assert child(plan, "leader").environment["INFERBENCH_TOKEN_DIR"] == "/data dir"


def test_the_brokers_password_is_on_no_command_line(plan: StackPlan) -> None:
    """Command lines are for everybody to read; the leader learns it from its environment."""
    assert all("pa55" not in shlex.join(child.argv) for child in plan.children)
    assert "requirepass pa55\n" in plan.broker_config
    assert child(plan, "leader").environment["INFERBENCH_BROKER_URL"] == "redis://:pa55@127.0.0.1:3/0"
    for name in ("follower", "converter"):
        assert "pa55" not in str(child(plan, name).environment)


def test_a_child_gets_a_chosen_environment(plan: StackPlan) -> None:
    """System names yes; secrets, proxies and settings of other processes no; tuning where it belongs."""
    for each in plan.children:
        assert each.environment["PATH"] == "/bin"
        assert not {"AWS_SECRET_ACCESS_KEY", "HTTP_PROXY", "INFERBENCH_TOKEN"} & set(each.environment)
    leader, follower = child(plan, "leader").environment, child(plan, "follower").environment
    assert leader["INFERBENCH_PORT"] == "1"
    assert leader["INFERBENCH_LEASE_S"] == "5"
    assert follower["INFERBENCH_LABELS"] == "zone=lab"
    assert follower["INFERBENCH_SLOT_LOCK_DIR"] == "/locks"
    assert not {"INFERBENCH_LABELS", "INFERBENCH_SLOT_LOCK_DIR"} & set(leader)
    assert "INFERBENCH_LEASE_S" not in follower


def test_the_converter_looks_for_the_followers_locks_where_they_are(plan: StackPlan) -> None:
    """Else it would not know that the machine measures."""
    follower, converter = (child(plan, name).environment for name in ("follower", "converter"))
    assert converter["INFERBENCH_SLOT_LOCK_DIR"] == follower["INFERBENCH_SLOT_LOCK_DIR"] == "/locks"
    assert "INFERBENCH_LABELS" not in converter


def test_every_setting_reaches_its_process(plan: StackPlan) -> None:
    """A setting is either the stack's own to decide, or handed on from whoever starts the stack."""
    decided = {name for each in plan.children for name in each.environment if name.startswith("INFERBENCH_")}
    for settings, handed_on in ((LeaderSettings, LEADER_TUNING), (FollowerSettings, FOLLOWER_TUNING)):
        names = {f"INFERBENCH_{field.upper()}" for field in settings.model_fields}
        assert names <= decided | set(handed_on)
        assert set(handed_on) <= names


def test_a_folder_of_ours_cannot_shadow_our_packages(plan: StackPlan) -> None:
    """The current folder is not on the path of ``python -m leader``."""
    assert child(plan, "leader").argv == ("/venv/bin/python", "-m", "leader")
    assert all(child.environment["PYTHONSAFEPATH"] == "1" for child in plan.children)


def test_ready_means_that_it_works(plan: StackPlan) -> None:
    """Each child is asked what its users will ask of it."""
    assert [each.ready for each in plan.children] == [
        PortOpen(2),
        BrokerAnswers(3, "pa55"),
        HttpAnswers(1, "/readyz"),
        FollowerAlive(1, Path("/data dir/admin.token"), "local"),
        HttpAnswers(1, "/readyz"),
    ]
    assert all(each.ready_within_s > 0 < each.stop_within_s for each in plan.children)


def test_a_quote_in_the_path_cannot_add_a_line_to_the_brokers_settings() -> None:
    """The folder's name is quoted."""
    programs = Programs(python="p", database="d", broker="b")
    plan = plan_stack(DataDir(Path('/a"b\\c')), Ports(leader=1, database=2, broker=3), programs, "x", {})
    assert 'dir "/a\\"b\\\\c/broker"\n' in plan.broker_config


def test_the_demo_does_what_a_user_would_type() -> None:
    """Three commands, none of them special."""
    assert tour(Path("job.yaml")) == (
        ("models", "import-packaged", "ppocr-rec"),
        ("run", "job.yaml"),
        ("leaderboard", "--metric", "p50_ms"),
    )
