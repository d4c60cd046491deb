"""Which platforms can be announced as containers: those whose image this machine has."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
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
    lacking = lacking_image(found, chosen, missing)
    for platform, image in lacking.items():
        if image is not None:
            log.warning("no-image", platform=platform, image=image, remedy="make images, or set INFERBENCH_IMAGES")
    return without_containers(found, lacking)


def without_containers(offers: Iterable[PlatformOffer], lacking: Collection[str]) -> tuple[PlatformOffer, ...]:
    """What is left of the offers where these platforms cannot be containers; one that is nothing else is left out."""
    left = (_as_process(offer) if offer.platform in lacking else offer for offer in offers)
    return tuple(offer for offer in left if offer.launch)


def lacking_image(
    offers: Iterable[PlatformOffer],
    chosen: Mapping[str, str],
    missing: Callable[[Sequence[str]], Sequence[str]] = missing_images,
) -> Mapping[str, str | None]:
    """Platforms that are offered as containers and cannot be -> the image that is missing; None: they have none."""
    wanted = {offer.platform: image_of(offer.platform, chosen) for offer in offers if CONTAINER in offer.launch}
    names = sorted({image for image in wanted.values() if image is not None})
    try:
        absent = {None, *missing(names)} if names else {None}
    except InferBenchError as error:
        log.warning("images-not-looked-for", reason=error.detail)
        absent = {None, *names}
    return {platform: image for platform, image in wanted.items() if image in absent}


def _as_process(offer: PlatformOffer) -> PlatformOffer:
    return offer.model_copy(update={"launch": tuple(way for way in offer.launch if way != CONTAINER)})
