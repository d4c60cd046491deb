"""Installing an engine: all of it or nothing, and never twice."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from follower.engines.folder import engine_dir, environment_of, installed_version
from follower.engines.install import REQUIREMENTS, install
from follower.engines.table import ENGINES
from shared.errors import NotFound, Unavailable


class Pip:
    """Installs a distribution of the given version, or fails."""

    def __init__(self, version: str, error: str = "") -> None:
        self.version = version
        self.error = error
        self.calls: list[list[str]] = []

    def __call__(self, argv: Sequence[str]) -> "subprocess.CompletedProcess[str]":
        self.calls.append(list(argv))
        target = Path(argv[argv.index("--target") + 1])
        folder = target / f"openvino-{self.version}.dist-info"
        folder.mkdir(parents=True)
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: openvino\nVersion: {self.version}\n")
        return subprocess.CompletedProcess(argv, 1 if self.error else 0, "", self.error)


def test_an_engine_is_installed_once(tmp_path: Path) -> None:
    """The second time nothing is fetched: the folder was filled from the same pins."""
    pip = Pip("1.0")
    assert installed_version("openvino", tmp_path) is None
    assert install("openvino", tmp_path, pip) == "1.0"
    assert installed_version("openvino", tmp_path) == "1.0"
    assert install("openvino", tmp_path, pip) == "1.0"
    assert len(pip.calls) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["openvino"]


def test_only_pinned_files_are_taken(tmp_path: Path) -> None:
    """Pip refuses whatever has another digest, and builds nothing."""
    pip = Pip("1.0")
    install("openvino", tmp_path, pip)
    assert {"--require-hashes", "--no-deps", "--only-binary=:all:"} <= set(pip.calls[0])
    assert str(REQUIREMENTS / "openvino.txt") in pip.calls[0]


def test_other_pins_take_the_place_of_what_was_there(tmp_path: Path) -> None:
    """As after an upgrade of the project."""
    install("openvino", tmp_path, Pip("1.0"))
    (engine_dir("openvino", tmp_path) / "inferbench-requirements.txt").write_text("older pins\n")
    assert install("openvino", tmp_path, Pip("2.0")) == "2.0"
    assert [path.name for path in tmp_path.iterdir()] == ["openvino"]


def test_a_failure_leaves_everything_as_it_was(tmp_path: Path) -> None:
    """And tells the end of what pip said."""
    install("openvino", tmp_path, Pip("1.0"))
    (engine_dir("openvino", tmp_path) / "inferbench-requirements.txt").write_text("older pins\n")
    with pytest.raises(Unavailable, match=r"(?s)engine openvino could not be installed.*no space left"):
        install("openvino", tmp_path, Pip("2.0", error="a\nno space left"))
    assert installed_version("openvino", tmp_path) == "1.0"
    assert [path.name for path in tmp_path.iterdir()] == ["openvino"]


def test_an_unknown_engine_is_told_the_known_ones(tmp_path: Path) -> None:
    """Whoever asks."""
    with pytest.raises(NotFound, match="unknown engine 'caffe'; there are openvino, tensorflow, torch, triton"):
        install("caffe", tmp_path)
    with pytest.raises(NotFound):
        environment_of("caffe")


@pytest.mark.parametrize("name", sorted(ENGINES))
def test_every_pin_has_a_digest(name: str) -> None:
    """And names the distribution whose version is the engine's; no address of a package index stands in it."""
    text = (REQUIREMENTS / f"{name}.txt").read_text()
    pins = [line for line in text.splitlines() if line and not line.startswith(("#", " "))]
    assert any(pin.startswith(f"{ENGINES[name].distribution}==") for pin in pins)
    assert all(pin.endswith("\\") for pin in pins)
    assert "http" not in text


def test_a_process_finds_an_engine_by_its_environment(tmp_path: Path) -> None:
    """Nothing else of the environment is changed."""
    assert environment_of("torch", tmp_path) == {"PYTHONPATH": str(tmp_path / "torch")}
