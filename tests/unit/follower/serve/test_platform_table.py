"""The table of platforms and what other packages add to it."""

from importlib.metadata import EntryPoint, version
from pathlib import Path

import pytest

from follower.serve.containers.images import VERSION_OF_IMAGE
from follower.serve.launchers import LAUNCHERS, available, find_launcher
from follower.serve.modelserver.platform import ModelServerPlatform
from follower.serve.platforms import ENTRY_POINT_GROUP, PLATFORMS, all_platforms, extended, find_platform, offers
from follower.serve.protocol import ServeRequest, Service
from shared.errors import Conflict, NotAvailable
from shared.jobs.formats import PlatformName
from shared.jobs.spec import ServiceSpec
from shared.wire.identity import PlatformOffer


class Elsewhere:
    """A platform of another package, not installed here."""

    name = "elsewhere"

    def offer(self) -> PlatformOffer | None:
        return None

    def start(self, request: ServeRequest) -> Service:
        raise AssertionError(f"not installed, and started: {request}")


INSTANCE = Elsewhere()


class _Entry(EntryPoint):
    """An entry point that loads something of this module, which no import can find."""

    def load(self) -> object:
        return globals()[self.attr]


def added(name: str, attribute: str) -> EntryPoint:
    """What another package announces."""
    return _Entry(name, f"other_package:{attribute}", ENTRY_POINT_GROUP)


def test_every_platform_stands_under_its_own_name() -> None:
    """The table cannot lie."""
    assert {name: platform.name for name, platform in PLATFORMS.items()} == {name: name for name in PLATFORMS}
    assert {name: launcher.name for name, launcher in LAUNCHERS.items()} == {name: name for name in LAUNCHERS}


def test_the_built_in_platforms_are_there_without_any_package() -> None:
    """ONNX Runtime comes with the follower."""
    assert "onnxruntime" in all_platforms()


@pytest.mark.parametrize("attribute", ["Elsewhere", "INSTANCE"])
def test_a_package_adds_a_platform_as_a_class_or_an_instance(attribute: str) -> None:
    """Both are found by name, beside the built-in ones."""
    table = extended(PLATFORMS, [added("elsewhere", attribute)])
    assert table.keys() == {*PLATFORMS, "elsewhere"}
    assert find_platform("elsewhere", table).name == "elsewhere"


def test_a_second_platform_of_one_name_is_refused() -> None:
    """Whether of the built-in ones or of another package."""
    with pytest.raises(Conflict, match=r"of other_package:Elsewhere exists already; known: .*onnxruntime"):
        extended(PLATFORMS, [added("onnxruntime", "Elsewhere")])
    with pytest.raises(Conflict, match="'elsewhere' of other_package:INSTANCE exists already"):
        extended(PLATFORMS, [added("elsewhere", "Elsewhere"), added("elsewhere", "INSTANCE")])


def test_a_platform_under_another_name_is_refused() -> None:
    """A job file would not find it."""
    with pytest.raises(Conflict, match="'nowhere' of other_package:Elsewhere loads a platform named 'elsewhere'"):
        extended(PLATFORMS, [added("nowhere", "Elsewhere")])


def test_an_unknown_name_is_an_error_that_lists_the_known_ones() -> None:
    """Of platforms and of launchers."""
    with pytest.raises(NotAvailable, match=r"unknown platform 'nowhere'; this follower has .*onnxruntime"):
        find_platform("nowhere", PLATFORMS)
    with pytest.raises(NotAvailable, match="unknown launcher 'vm'; this follower has docker, process"):
        find_launcher("vm")


def test_only_installed_platforms_are_announced() -> None:
    """A platform that offers nothing is left out."""
    table = extended({"onnxruntime": PLATFORMS["onnxruntime"]}, [added("elsewhere", "Elsewhere")])
    assert [offer.platform for offer in offers(table)] == ["onnxruntime"]


@pytest.fixture
def no_engines(monkeypatch: pytest.MonkeyPatch) -> None:
    """None is installed on this machine."""
    for module in ("modelserver.platform", "tensorflow.compat"):
        monkeypatch.setattr(f"follower.serve.{module}.installed_version", lambda _engine: None)


@pytest.mark.usefixtures("no_engines")
@pytest.mark.parametrize(("name", "engine"), [("torchscript", "torch"), ("tfs-compat", "tensorflow")])
def test_a_platform_whose_engine_is_missing_offers_no_process_and_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: PlatformName, engine: str
) -> None:
    """Where no container can be started either, nothing."""
    for module in ("modelserver.platform", "tensorflow.compat"):
        monkeypatch.setattr(f"follower.serve.{module}.available", lambda ways: [w for w in ways if w == "process"])
    assert PLATFORMS[name].offer() is None
    service = ServiceSpec(platform=name)
    request = ServeRequest(
        model_path=tmp_path / "m", model_name="m", service=service, server_cores=[], workdir=tmp_path / "run"
    )
    with pytest.raises(NotAvailable, match=f"platforms install {engine}"):
        PLATFORMS[name].start(request)


@pytest.mark.usefixtures("no_engines")
@pytest.mark.parametrize("name", ["openvino", "torchscript", "tfs-compat"])
def test_a_platform_whose_engine_is_missing_may_still_be_a_container(
    monkeypatch: pytest.MonkeyPatch, name: PlatformName
) -> None:
    """Its image holds the engine; of which version is not known before it runs."""
    for module in ("modelserver.platform", "tensorflow.compat"):
        monkeypatch.setattr(f"follower.serve.{module}.available", tuple)
    offer = PLATFORMS[name].offer()
    assert offer is not None
    assert (offer.launch, offer.version) == (("docker",), VERSION_OF_IMAGE)


def test_the_onnxruntime_platform_announces_the_installed_version() -> None:
    """And what it can do with it."""
    offer = ModelServerPlatform("onnxruntime").offer()
    assert offer is not None
    assert offer.version == version("onnxruntime")
    assert (offer.protocol, offer.device) == (("http",), ("cpu",))
    assert offer.launch == available(["process", "docker"])


@pytest.mark.parametrize(("key", "value"), [("protocol", "grpc"), ("device", "cuda")])
def test_what_is_not_announced_is_not_started(tmp_path: Path, key: str, value: str) -> None:
    """The problem names the job file's path, what was found and what is allowed."""
    request = ServeRequest(
        model_path=tmp_path / "m",
        model_name="m",
        service=ServiceSpec.model_validate({key: value}),
        server_cores=[],
        workdir=tmp_path / "run",
    )
    with pytest.raises(NotAvailable) as caught:
        ModelServerPlatform("onnxruntime").start(request)
    (problem,) = caught.value.problems
    assert (problem.path, problem.found) == (f"service.{key}", value)
