"""A request is held against what its platform announces, before anything is started."""

from collections.abc import Mapping, Sequence

from follower.serve.protocol import ServeRequest
from shared.errors import NotAvailable, Problem


def require_announced(platform: str, request: ServeRequest, announced: Mapping[str, Sequence[str]]) -> None:
    """Refuses what is not announced: ``announced`` is by key of ``service``.

    Raises:
        NotAvailable: with one problem for each key.
    """
    problems = [
        Problem(message="not available", path=f"service.{key}", found=found, allowed=", ".join(values))
        for key, values in announced.items()
        if (found := getattr(request.service, key)) not in values
    ]
    if problems:
        raise NotAvailable(f"the {platform} platform of this follower cannot serve this", problems=problems)
