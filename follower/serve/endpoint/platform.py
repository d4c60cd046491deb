"""Platform ``endpoint``: what already runs at ``service.url``, where the operator's allow-list names its host."""

from follower.serve.endpoint.resolve import resolve
from follower.serve.endpoint.service import EndpointService
from follower.serve.protocol import ServeRequest
from shared.errors import NotAvailable
from shared.wire.identity import PlatformOffer


class EndpointPlatform:
    """Implements ``follower.serve.protocol.Platform``."""

    name = "endpoint"

    def offer(self) -> PlatformOffer | None:
        """Nothing has to be installed. ``launch`` and ``device`` are whatever the job file leaves them at."""
        return PlatformOffer(
            platform=self.name,
            version="1",
            launch=("process",),
            protocol=("http", "grpc"),
            device=("cpu", "cuda"),
        )

    def start(self, request: ServeRequest) -> EndpointService:
        """Starts nothing; the address is checked and looked up.

        Raises:
            NotAvailable: no address.
            AttemptFailed: SERVER_NOT_READY where it may not be loaded, or cannot be found.
        """
        url = request.service.url
        if url is None:
            raise NotAvailable("platform endpoint needs service.url, the address of what already runs")
        return EndpointService(request, resolve(url, request.allowed_endpoints))
