"""Platform ``endpoint``: what already runs at ``service.url``, where the operator's allow-list names its host."""

from follower.load.tls import context_of
from follower.serve.endpoint.resolve import Resolved, resolve
from follower.serve.endpoint.secrets import header_for
from follower.serve.endpoint.service import EndpointService
from follower.serve.protocol import ServeRequest
from follower.serve.secure import SecretHeader, Tls
from shared.errors import AttemptFailed, InvalidInput, NotAvailable
from shared.jobs.endpoint_api import TemplateApi
from shared.jobs.lifecycle import Cause
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
            AttemptFailed: SERVER_NOT_READY where it may not be loaded, cannot be found, or may not have the secret.
        """
        url = request.service.url
        if url is None:
            raise NotAvailable("platform endpoint needs service.url, the address of what already runs")
        resolved = resolve(url, request.allowed_endpoints)
        return EndpointService(request, resolved, _tls(request, resolved), _secret(request, resolved))


def _tls(request: ServeRequest, resolved: Resolved) -> Tls | None:
    """Raises AttemptFailed, FOLLOWER_ERROR, where the operator's authorities cannot be read."""
    if not resolved.named.tls:
        return None
    try:
        context_of(request.endpoint_ca_file, "http/1.1")
    except OSError as error:
        detail = f"the authorities in {request.endpoint_ca_file} (INFERBENCH_ENDPOINT_CA_FILE) cannot be read: {error}"
        raise AttemptFailed(Cause.FOLLOWER_ERROR, detail) from error
    return Tls(server_name=resolved.named.host, ca_file=request.endpoint_ca_file)


def _secret(request: ServeRequest, resolved: Resolved) -> SecretHeader | None:
    """Raises AttemptFailed, SERVER_NOT_READY, where the job may not have the secret that it names."""
    asked = request.service.endpoint
    if asked is None or asked.secret is None:
        return None
    try:
        header = header_for(asked.secret, resolved.named, request.endpoint_secrets_file)
    except InvalidInput as error:
        raise AttemptFailed(Cause.SERVER_NOT_READY, error.detail) from error
    given = asked.headers if isinstance(asked, TemplateApi) else {}
    if header.name.lower() in map(str.lower, given):
        detail = (
            f"service.endpoint.headers: secret {asked.secret} is the header {header.name}, which the job sets itself"
        )
        raise AttemptFailed(Cause.SERVER_NOT_READY, detail)
    return header
