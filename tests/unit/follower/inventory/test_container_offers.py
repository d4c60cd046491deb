"""Containers are announced where their image is."""

from collections.abc import Sequence

from follower.inventory.containers import lacking_image, with_images
from follower.serve.containers.images import MODEL_SERVER
from shared.errors import NotAvailable
from shared.wire.identity import PlatformOffer


def offer(platform: str, *launch: str) -> PlatformOffer:
    """Of one platform."""
    return PlatformOffer(platform=platform, version="1", launch=launch, protocol=("http",), device=("cpu",))


BOTH = offer("onnxruntime", "process", "docker")
PROCESS = offer("onnxruntime", "process")


def test_an_image_that_is_there_is_announced() -> None:
    """The default one, or the operator's."""
    asked: list[str] = []

    def none_missing(names: Sequence[str]) -> Sequence[str]:
        asked.extend(names)
        return ()

    assert with_images([BOTH], {}, none_missing) == (BOTH,)
    assert with_images([BOTH], {"onnxruntime": "mine:1"}, none_missing) == (BOTH,)
    assert asked == [MODEL_SERVER, "mine:1"]


def test_an_image_that_is_missing_leaves_the_process() -> None:
    """Other platforms are announced as they are."""
    other = offer("triton", "process", "docker")
    found = with_images([BOTH, other], {"triton": "triton:1"}, lambda _names: [MODEL_SERVER])
    assert found == (PROCESS, other)


def test_a_platform_without_any_image_is_no_container() -> None:
    """Nobody knows what to start."""
    assert with_images([offer("tfserving", "process", "docker")], {}, lambda _: ()) == (offer("tfserving", "process"),)


def test_a_platform_that_is_only_a_container_is_left_out_without_its_image() -> None:
    """A follower with a container engine and nothing of TensorFlow Serving has nothing to announce of it."""
    only = offer("tfserving", "docker")
    assert with_images([only, BOTH], {}, lambda _: ()) == (BOTH,)
    assert with_images([only], {"tfserving": "tfs:1"}, lambda _: ["tfs:1"]) == ()
    assert with_images([only], {"tfserving": "tfs:1"}, lambda _: ()) == (only,)


def test_what_is_lacking_is_told_by_platform() -> None:
    """With the image that is not there, where one is named at all."""
    offers = [BOTH, offer("tfserving", "docker"), offer("triton", "docker")]
    found = lacking_image(offers, {"triton": "triton:1"}, lambda _: [MODEL_SERVER])
    assert found == {"onnxruntime": MODEL_SERVER, "tfserving": None}


def test_an_engine_that_stopped_answering_leaves_the_process() -> None:
    """Between its answer to the platform and the look for images."""

    def gone(_names: Sequence[str]) -> Sequence[str]:
        raise NotAvailable("no container engine answers")

    assert with_images([BOTH], {}, gone) == (PROCESS,)


def test_where_nothing_is_a_container_no_engine_is_asked() -> None:
    """It may not be there."""

    def never(_names: Sequence[str]) -> Sequence[str]:
        raise AssertionError

    assert with_images([PROCESS], {}, never) == (PROCESS,)
