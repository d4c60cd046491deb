"""``python -m follower.engines list | install NAME...``: what ``inferbench platforms`` calls; answers JSON."""

import json
import sys
from collections.abc import Sequence

from follower.engines.folder import installed_version
from follower.engines.install import install
from follower.engines.table import ENGINES
from follower.serve.platforms import all_platforms
from shared.errors import InferBenchError


def main(arguments: Sequence[str]) -> int:
    """0: done; 1: failed, with the reason on standard error."""
    action, *names = arguments
    try:
        print(json.dumps(listing() if action == "list" else [_installed(name) for name in names]))  # noqa: T201 - its answer
    except InferBenchError as error:
        print(error.detail, file=sys.stderr)  # noqa: T201 - the same
        return 1
    return 0


def listing() -> list[dict[str, object]]:
    """Every platform: what this machine can do with it, and which engine is missing where it can do nothing."""
    offers = {name: platform.offer() for name, platform in all_platforms().items()}
    needs = {platform: engine.name for engine in ENGINES.values() for platform in engine.platforms}
    return [
        {"platform": name, "offer": offer and offer.model_dump(mode="json"), "engine": needs.get(name)}
        for name, offer in sorted(offers.items())
    ]


def _installed(name: str) -> dict[str, object]:
    before = installed_version(name)
    return {"engine": name, "version": install(name), "before": before}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
