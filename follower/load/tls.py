"""TLS around our own sockets: whom to trust, and what is spoken inside.

The certificate is always verified, against the system's authorities and the operator's, for the name that the job has.
What is spoken inside is settled by ALPN (RFC 7301): gRPC needs "h2", and a server that does not say so is refused.
"""

import socket
import ssl
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Final, Literal

from follower.serve.secure import Tls

Protocol = Literal["http", "grpc"]

_ALPN: Final[Mapping[Protocol, str]] = {"http": "http/1.1", "grpc": "h2"}


@cache
def context_of(ca_file: Path | None, alpn: str) -> ssl.SSLContext:
    """Verifies certificate and name; TLS 1.2 at least.

    Raises:
        OSError: the file of authorities cannot be read, or holds none.
    """
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols([alpn])
    if ca_file is not None:
        context.load_verify_locations(cafile=ca_file)
    return context


def wrapped(connected: socket.socket, tls: Tls, protocol: Protocol, *, shake: bool = True) -> ssl.SSLSocket:
    """The socket with TLS around it; ``shake``: once the hand-shake is done.

    Raises:
        OSError: there is no trust, or nothing that both speak.
    """
    context = context_of(tls.ca_file, _ALPN[protocol])
    try:
        found = context.wrap_socket(
            connected, server_hostname=tls.server_name, do_handshake_on_connect=shake, suppress_ragged_eofs=False
        )
    except ssl.SSLError:  # of which one is a ValueError, too
        raise
    except ValueError as error:
        raise ConnectionError(f"{tls.server_name} is no name that a certificate could be for: {error}") from error
    if shake:
        try:
            check_agreed(found, protocol)
        except OSError:
            found.close()
            raise
    return found


def check_agreed(shaken: ssl.SSLSocket, protocol: Protocol) -> None:
    """Raises OSError where the server does not speak inside what has to be spoken."""
    if protocol == "grpc" and shaken.selected_alpn_protocol() != _ALPN[protocol]:
        raise ConnectionError("the server does not agree on h2 (ALPN), which gRPC over TLS needs")


def open_socket(host: str, port: int, tls: Tls | None, protocol: Protocol, timeout_s: float) -> socket.socket:
    """A blocking connection, encrypted where ``tls`` says with whom.

    Raises:
        OSError: it cannot be had; of a certificate that is not trusted, ``ssl.SSLCertVerificationError``.
    """
    connected = socket.create_connection((host, port), timeout=timeout_s)
    if tls is None:
        return connected
    try:
        return wrapped(connected, tls, protocol)
    except BaseException:
        connected.close()
        raise


def is_untrusted(error: BaseException | None) -> bool:
    """Whether the peer's certificate is why: asking again does not help."""
    return isinstance(error, ssl.SSLCertVerificationError)
