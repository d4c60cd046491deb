"""From the address that a job names to the one address that everything then connects to."""

import ipaddress
import socket
from collections.abc import Collection
from dataclasses import dataclass

from shared.errors import AttemptFailed
from shared.jobs.endpoint_address import HostPort, is_allowed, parse_address
from shared.jobs.lifecycle import Cause


@dataclass(frozen=True)
class Resolved:
    """An endpoint that may be loaded. ``address`` was looked up once; DNS is not asked again."""

    named: HostPort
    address: str


def resolve(url: str, allowed: Collection[str]) -> Resolved:
    """Checks the address against the operator's list and looks its host up, once.

    Raises:
        AttemptFailed: SERVER_NOT_READY where it is not on the list, is not to be found, or leads to an address that
            no name may lead to.
    """
    try:
        named = parse_address(url)
    except ValueError as error:
        raise _refused(f"service.url {url}: {error}") from error
    if not is_allowed(named, allowed):
        listed = ", ".join(sorted(allowed)) or "nothing"
        raise _refused(f"endpoint {named} is not on this follower's allow-list, which names {listed}")
    try:
        found = socket.getaddrinfo(named.host, named.port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise _refused(f"endpoint {named} cannot be looked up: {error}") from error
    address = str(found[0][4][0])
    if address != named.host and _is_nobodys(address) and not is_allowed(HostPort(address, named.port), allowed):
        raise _refused(f"endpoint {named} leads to {address}, which the allow-list has to name itself")
    return Resolved(named, address)


def _is_nobodys(address: str) -> bool:
    """Link-local (cloud metadata), multicast or unspecified, also written as an IPv6 address."""
    found = ipaddress.ip_address(address)
    inner = getattr(found, "ipv4_mapped", None) or found
    return bool(inner.is_link_local or inner.is_multicast or inner.is_unspecified)


def _refused(detail: str) -> AttemptFailed:
    return AttemptFailed(Cause.SERVER_NOT_READY, detail)
