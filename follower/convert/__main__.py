"""``python -m follower.convert REQUEST``: converts a model in a process of its own; see docs/conversion.md.

0: the converted model and its card lie where the request says; 1: refused, with the reason as the last line on
standard error.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from follower.convert.convert import convert
from model_repo.convert.conversions import ConversionRequest
from shared.errors import InferBenchError


def main(arguments: Sequence[str]) -> int:
    """The exit status."""
    (path,) = arguments
    request = ConversionRequest.model_validate_json(Path(path).read_bytes())
    try:
        card = convert(request)
    except InferBenchError as error:
        print(" ".join(error.detail.split()), file=sys.stderr)  # noqa: T201 - its answer
        return 1
    request.card_path.write_text(card.model_dump_json(exclude_defaults=True), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
