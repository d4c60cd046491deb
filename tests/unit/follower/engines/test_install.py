"""Installing an engine: all of it or nothing, and never twice."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from follower.engines.folder import engine_dir, environment_of, installed_version, preload_of
from follower.engines.install import REQUIREMENTS, install
from follower.engines.table import ENGINES
from shared.errors import NotFound, Unavailable


class Pip:
    """Installs a distribution of the given version, or fails."""

    def __init__(self, version: str, error: str = "", *, distribution: str = "openvino") -> None:
        self.distribution = distribution
        self.version = version
        self.error = error
        self.calls: list[list[str]] = []

    def __call__(self, argv: Sequence[str]) -> "subprocess.CompletedProcess[str]":
        self.calls.append(list(argv))
        if argv[0] == "cc":
            return self._compile(argv)
        target = Path(argv[argv.index("--target") + 1])
        folder = target / f"{self.distribution}-{self.version}.dist-info"
        folder.mkdir(parents=True)
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {self.distribution}\nVersion: {self.version}\n")
        return subprocess.CompletedProcess(argv, 1 if self.error else 0, "", self.error)

    @staticmethod
    def _compile(argv: Sequence[str]) -> "subprocess.CompletedProcess[str]":
        Path(argv[argv.index("-o") + 1]).write_text("a library\n")
        return subprocess.CompletedProcess(argv, 0, "", "")


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


def test_a_library_that_an_engine_loads_first_is_built_with_it(tmp_path: Path) -> None:
    """And again once its source is another one."""
    pip = Pip("1.0", distribution="nvidia_pytriton")
    install("triton", tmp_path, pip)
    built = preload_of("triton", tmp_path)
    assert built is not None
    assert built.read_text() == "a library\n"
    install("triton", tmp_path, pip)
    assert len(pip.calls) == 2
    built.with_suffix(".c").write_text("an older source\n")
    install("triton", tmp_path, pip)
    assert len(pip.calls) == 4
    assert preload_of("torch", tmp_path) is None


def test_without_a_compiler_nothing_is_installed(tmp_path: Path) -> None:
    """An engine without its library would crash under load: the remedy is told instead."""

    def run(argv: Sequence[str]) -> "subprocess.CompletedProcess[str]":
        if argv[0] == "cc":
            return subprocess.CompletedProcess(argv, 1, "", "No such file or directory: 'cc'")
        return Pip("1.0", distribution="nvidia_pytriton")(argv)

    with pytest.raises(Unavailable, match=r"(?s)engine triton needs a C compiler.*No such file"):
        install("triton", tmp_path, run)
    assert list(tmp_path.iterdir()) == []


def test_no_engine_is_pinned_with_a_package_that_calls_its_maker() -> None:
    """Neither from the server that is measured nor from a conversion."""
    for pinned in REQUIREMENTS.glob("*.txt"):
        assert "telemetry" not in pinned.read_text().lower().replace("opentelemetry", ""), pinned.name
