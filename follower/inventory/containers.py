"""Which platforms can be announced as containers: those whose image this machine has."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

import structlog

from follower.serve.containers.engine import missing_images
from follower.serve.containers.images import image_of
from shared.errors import InferBenchError
from shared.wire.identity import PlatformOffer

CONTAINER: Final = "docker"

log = structlog.get_logger()


def with_images(
    offers: Iterable[PlatformOffer],
    chosen: Mapping[str, str],
    missing: Callable[[Sequence[str]], Sequence[str]] = missing_images,
) -> tuple[PlatformOffer, ...]:
    """The offers, as containers only where the image is there: no job is to wait for one that nobody fetches."""
    found = tuple(offers)
    wanted = {offer.platform: image_of(offer.platform, chosen) for offer in found if CONTAINER in offer.launch}
    names = sorted({image for image in wanted.values() if image is not None})
    try:
        absent = {None, *missing(names)} if names else {None}
    except InferBenchError as error:
        log.warning("images-not-looked-for", reason=error.detail)
        absent = {None, *names}
    for platform, image in wanted.items():
        if image in absent:
            log.warning("no-image", platform=platform, image=image, remedy="make images, or set INFERBENCH_IMAGES")
    without = {platform for platform, image in wanted.items() if image in absent}
    return tuple(_as_process(offer) if offer.platform in without else offer for offer in found)


def _as_process(offer: PlatformOffer) -> PlatformOffer:
    return offer.model_copy(update={"launch": tuple(way for way in offer.launch if way != CONTAINER)})
