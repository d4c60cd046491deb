"""The follower's settings: read once, checked, and kept from what it starts."""

from pathlib import Path

import pytest

from follower.inventory.registration import read_registration
from follower.settings import ATTEMPT_MARK, FollowerSettings, child_environment, read_token
from shared.errors import InvalidInput


def test_everything_has_a_default_that_fits_one_machine() -> None:
    """A follower beside its leader needs no setting but the token."""
    settings = FollowerSettings.from_environment()
    assert settings.leader_url.startswith("http://127.0.0.1")
    assert settings.work_dir.is_absolute()
    assert settings.follower_name


def test_the_page_on_followers_lists_every_setting() -> None:
    """One row each, under the name of its variable, and none that is not there."""
    page = Path(__file__).parents[4] / "docs" / "followers.md"
    rows = [line.split("`")[1] for line in page.read_text().splitlines() if line.startswith("| `INFERBENCH_")]
    assert rows == [f"INFERBENCH_{name.upper()}" for name in FollowerSettings.model_fields]


def test_all_agents_of_a_machine_lock_in_one_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever they run as, and whatever stack gave them a temporary directory of its own; unless it is set."""
    monkeypatch.setenv("INFERBENCH_SLOT_LOCK_DIR", "locks")
    assert FollowerSettings.from_environment().slot_lock_dir == Path("locks").absolute()
    monkeypatch.delenv("INFERBENCH_SLOT_LOCK_DIR")
    monkeypatch.setenv("TMPDIR", "/somewhere/else")
    assert FollowerSettings.from_environment().slot_lock_dir == Path("/tmp/inferbench-slots")  # noqa: S108 - its name


def test_labels_are_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a person writes them in an environment file."""
    monkeypatch.setenv("INFERBENCH_LABELS", "zone=lab-2, rack=7")
    assert FollowerSettings.from_environment().labels == {"zone": "lab-2", "rack": "7"}


def test_images_are_pairs_of_platform_and_image(monkeypatch: pytest.MonkeyPatch) -> None:
    """A digest holds no equals sign; a platform that nobody has is named."""
    monkeypatch.setenv("INFERBENCH_IMAGES", "onnxruntime=lab/server@sha256:ab, triton=lab/triton:1")
    assert FollowerSettings.from_environment().images == {
        "onnxruntime": "lab/server@sha256:ab",
        "triton": "lab/triton:1",
    }
    monkeypatch.setenv("INFERBENCH_IMAGES", "onnx=lab/server")
    with pytest.raises(InvalidInput, match=r"INFERBENCH_IMAGES.*unknown platform 'onnx'; there are onnxruntime"):
        FollowerSettings.from_environment()


def test_all_problems_are_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the variable that holds them."""
    monkeypatch.setenv("INFERBENCH_LABELS", "zone")
    monkeypatch.setenv("INFERBENCH_LEADER_URL", "leader:8080")
    monkeypatch.setenv("INFERBENCH_PREFLIGHT", "maybe")
    with pytest.raises(InvalidInput) as caught:
        FollowerSettings.from_environment()
    assert {problem.path for problem in caught.value.problems} == {
        "INFERBENCH_LABELS", "INFERBENCH_LEADER_URL", "INFERBENCH_PREFLIGHT",
    }  # fmt: skip


def test_a_run_is_marked_before_it_is_invalid(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second limit is never below the first; as they stand by themselves, both are in order."""
    monkeypatch.setenv("INFERBENCH_MAX_BUSY_SHARE", "0.7")
    with pytest.raises(InvalidInput, match=r"invalid_busy_share \(0.6\) must not be below"):
        FollowerSettings.from_environment()
    monkeypatch.setenv("INFERBENCH_INVALID_BUSY_SHARE", "0.9")
    settings = FollowerSettings.from_environment()
    assert (settings.max_busy_share, settings.invalid_busy_share) == (0.7, 0.9)


def test_what_we_start_sees_none_of_our_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No address and no token file reaches the serving software; the mark does."""
    monkeypatch.setenv("INFERBENCH_TOKEN_FILE", "/secret")
    monkeypatch.setenv("SOMETHING_ELSE", "kept")
    environment = child_environment(tmp_path)
    assert [name for name in environment if name.startswith("INFERBENCH_")] == [ATTEMPT_MARK]
    assert environment["SOMETHING_ELSE"] == "kept"


@pytest.mark.parametrize("content", [None, "  \n"])
def test_a_token_that_is_not_there_is_said_so(tmp_path: Path, content: str | None) -> None:
    """With the place where it was looked for."""
    path = tmp_path / "token"
    if content is not None:
        path.write_text(content)
    with pytest.raises(InvalidInput, match=str(path)):
        read_token(path)


def test_a_token_is_read_without_its_line_end(tmp_path: Path) -> None:
    """Editors add one."""
    (tmp_path / "token").write_text("ib_follower_x\n")
    assert read_token(tmp_path / "token").get_secret_value() == "ib_follower_x"


def test_no_endpoint_may_be_loaded_unless_the_operator_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Entries are checked when the follower starts."""
    assert FollowerSettings.from_environment().endpoint_hosts == ()
    monkeypatch.setenv("INFERBENCH_ENDPOINT_HOSTS", "Triton.lab:8000, 10.1.0.0/16")
    assert FollowerSettings.from_environment().endpoint_hosts == ("triton.lab:8000", "10.1.0.0/16")
    monkeypatch.setenv("INFERBENCH_ENDPOINT_HOSTS", "*")
    with pytest.raises(InvalidInput, match="INFERBENCH_ENDPOINT_HOSTS"):
        FollowerSettings.from_environment()


def test_secrets_for_endpoints_are_a_file_of_which_only_names_are_announced(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """And a file that cannot be used is said before the agent registers."""
    assert read_registration(FollowerSettings.from_environment()).capabilities.endpoint_secrets == ()
    file = tmp_path / "secrets.toml"
    file.write_text('[lab]\nvalue = "Bearer s3cr3t"\nhosts = ["triton.lab"]\n')
    file.chmod(0o600)
    monkeypatch.setenv("INFERBENCH_ENDPOINT_SECRETS", str(file))
    monkeypatch.setenv("INFERBENCH_ENDPOINT_CA_FILE", "authorities.pem")
    settings = FollowerSettings.from_environment()
    assert settings.endpoint_ca_file is not None
    assert settings.endpoint_ca_file.is_absolute()
    registration = read_registration(settings)
    assert registration.capabilities.endpoint_secrets == ("lab",)
    assert "s3cr3t" not in registration.model_dump_json() + repr(settings)
    file.chmod(0o644)
    with pytest.raises(InvalidInput, match="can be read by others"):
        read_registration(settings)
