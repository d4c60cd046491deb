"""The address of an endpoint that already runs, and whether a follower's operator lets it be loaded. Pure."""

import ipaddress
import re
from collections.abc import Collection
from typing import Final, NamedTuple
from urllib.parse import urlsplit

_PORTS: Final = {"http": 80, "https": 443}
_HOST: Final = re.compile(r"[a-z0-9_]([a-z0-9._-]{0,251}[a-z0-9_])?")
_ENTRY: Final = re.compile(r"(?P<host>\[[0-9a-f:.]+\]|[^\[\]:/]+)(:(?P<port>[0-9]{1,5}))?")
_MOST_PORT: Final = 65_535


class HostPort(NamedTuple):
    """Where an endpoint is. ``host``: a name or an address, in lower case, without brackets."""

    host: str
    port: int
    tls: bool = False

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_address(url: str) -> HostPort:
    """``"http://Triton.lab:8000"`` -> ``("triton.lab", 8000)``; ``https://`` with ``tls``.

    Raises:
        ValueError: not http or https to a host and a port and nothing else; says what would be right.
    """
    parts = urlsplit(url)
    if parts.scheme not in _PORTS:
        raise ValueError(f"{parts.scheme}:// is not spoken with endpoints; http://host:port and https:// are")
    if parts.username is not None or parts.path not in {"", "/"} or parts.query or parts.fragment:
        raise ValueError("an endpoint's address is http://host:port and nothing else; the protocol says the path")
    host, port = (parts.hostname or "").lower(), _port_of(parts.netloc, _PORTS[parts.scheme])
    if not _is_address(host) and not _HOST.fullmatch(host):
        raise ValueError(f"{host!r} is neither a host name nor an address")
    if _looks_like_an_address(host) and not _is_address(host):
        raise ValueError(f"{host!r} is not an address; write four decimal numbers")
    return HostPort(host, port, parts.scheme == "https")


def check_entry(entry: str) -> str:
    """An entry of the allow-list in lower case: ``host``, ``host:port``, or a network such as ``10.1.0.0/16``.

    Raises:
        ValueError: none of these.
    """
    text = entry.strip().lower()
    if "/" in text:
        return str(ipaddress.ip_network(text))
    found = _ENTRY.fullmatch(text)
    if found is None or int(found["port"] or 1) not in range(1, _MOST_PORT + 1):
        raise ValueError(f"an entry is host, host:port or a network such as 10.1.0.0/16; found {entry!r}")
    host = found["host"].strip("[]")
    if not _is_address(host) and (not _HOST.fullmatch(host) or _looks_like_an_address(host)):
        raise ValueError(f"{host!r} is neither a host name nor an address")
    return text


def is_allowed(address: HostPort, entries: Collection[str]) -> bool:
    """Whether one of ``entries`` (as ``check_entry`` gives them) names the endpoint.

    A name is allowed by its name only, and an address by itself or by a network: nobody's DNS widens the list.
    """
    return any(_matches(address, entry) for entry in entries)


def _matches(address: HostPort, entry: str) -> bool:
    if "/" in entry:
        return _is_address(address.host) and ipaddress.ip_address(address.host) in ipaddress.ip_network(entry)
    found = _ENTRY.fullmatch(entry)
    if found is None or int(found["port"] or address.port) != address.port:
        return False
    return _same_host(found["host"].strip("[]"), address.host)


def _same_host(one: str, other: str) -> bool:
    if _is_address(one) and _is_address(other):
        return ipaddress.ip_address(one) == ipaddress.ip_address(other)
    return one == other


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _looks_like_an_address(host: str) -> bool:
    """Such as 2130706433, 0x7f.1 or 127.1, which resolvers take for addresses though they are not written as such."""
    return bool(re.fullmatch(r"(0x[0-9a-f]*|[0-9]+)", host.rpartition(".")[2]))


def _port_of(netloc: str, usual: int) -> int:
    text = netloc.rpartition("@")[2]
    found = re.fullmatch(r"(\[[^\]]*\]|[^:]*)(:([0-9]{1,5}))?", text)
    if found is None or int(found[3] or usual) not in range(1, _MOST_PORT + 1):
        raise ValueError(f"{text!r} is not host:port")
    return int(found[3] or usual)
