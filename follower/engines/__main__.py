"""``python -m follower.engines list | install NAME...``: what ``inferbench platforms`` calls; answers JSON."""

import json
import sys
from collections.abc import Sequence

from follower.engines.folder import installed_version
from follower.engines.install import install
from follower.engines.table import ENGINES
from follower.inventory.containers import lacking_image, without_containers
from follower.logs import set_up
from follower.serve.platforms import all_platforms, offers
from follower.settings import FollowerSettings
from shared.errors import InferBenchError


def main(arguments: Sequence[str]) -> int:
    """0: done; 1: failed, with the reason on standard error."""
    set_up("error")  # the answer has standard output to itself
    action, *names = arguments
    try:
        print(json.dumps(listing() if action == "list" else [_installed(name) for name in names]))  # noqa: T201 - its answer
    except InferBenchError as error:
        print(error.detail, file=sys.stderr)  # noqa: T201 - the same
        return 1
    return 0


def listing() -> list[dict[str, object]]:
    """Every platform: what this machine can do with it, and which engine is missing where it can do nothing."""
    table = all_platforms()
    found = offers(table)
    there = without_containers(found, lacking_image(found, FollowerSettings.from_environment().images))
    by_name = {offer.platform: offer.model_dump(mode="json") for offer in there}
    needs = {platform: engine.name for engine in ENGINES.values() for platform in engine.platforms}
    return [{"platform": name, "offer": by_name.get(name), "engine": needs.get(name)} for name in sorted(table)]


def _installed(name: str) -> dict[str, object]:
    before = installed_version(name)
    return {"engine": name, "version": install(name), "before": before}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
