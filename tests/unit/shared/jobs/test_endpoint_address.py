"""Addresses of endpoints, and which of them an operator's list lets through."""

import pytest

from shared.jobs.endpoint_address import HostPort, check_entry, is_allowed, parse_address


@pytest.mark.parametrize(
    ("url", "host", "port"),
    [
        ("http://Triton.Lab:8000", "triton.lab", 8000),
        ("http://10.0.0.7:8001/", "10.0.0.7", 8001),
        ("http://[fd00::1]:8000", "fd00::1", 8000),
        ("http://models", "models", 80),
    ],
)
def test_an_address_is_a_host_and_a_port(url: str, host: str, port: int) -> None:
    """In lower case, without brackets; 80 where none is named."""
    assert parse_address(url) == HostPort(host, port)


@pytest.mark.parametrize(("url", "port"), [("https://Triton.Lab:8443", 8443), ("https://triton.lab", 443)])
def test_an_encrypted_address_is_one_too(url: str, port: int) -> None:
    """443 where no port is named; the list of what may be loaded does not tell the two apart."""
    assert parse_address(url) == HostPort("triton.lab", port, tls=True)
    assert str(parse_address(url)) == f"triton.lab:{port}"
    assert is_allowed(parse_address(url), [f"triton.lab:{port}"])


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("ftp://triton.lab:8000", "ftp:// is not spoken"),
        ("https://triton.lab:8000/v2", "http://host:port and nothing else"),
        ("http://triton.lab:8000/v2", "http://host:port and nothing else"),
        ("http://me:secret@triton.lab:8000", "http://host:port and nothing else"),
        ("http://triton.lab:8000?x=1", "http://host:port and nothing else"),
        ("http://triton.lab:0", "is not host:port"),
        ("http://triton.lab:70000", "is not host:port"),
        ("http://triton.lab:http", "is not host:port"),
        ("http://:8000", "neither a host name nor an address"),
        ("http://tri ton:8000", "neither a host name nor an address"),
        ("http://2130706433:80", "write four decimal numbers"),
        ("http://0x7f.1:80", "write four decimal numbers"),
        ("http://127.1:80", "write four decimal numbers"),
    ],
)
def test_what_is_not_plainly_a_host_and_a_port_is_refused(url: str, says: str) -> None:
    """Also spellings that a resolver would take for an address of its own choosing."""
    with pytest.raises(ValueError, match=says):
        parse_address(url)


@pytest.mark.parametrize(
    ("address", "entries", "allowed"),
    [
        (("triton.lab", 8000), ["triton.lab"], True),
        (("triton.lab", 8000), ["triton.lab:8000"], True),
        (("triton.lab", 8001), ["triton.lab:8000"], False),
        (("evil-triton.lab", 8000), ["triton.lab"], False),
        (("triton.lab.evil", 8000), ["triton.lab"], False),
        (("10.1.2.3", 8000), ["10.1.0.0/16"], True),
        (("10.2.2.3", 8000), ["10.1.0.0/16"], False),
        (("triton.lab", 8000), ["0.0.0.0/0"], False),
        (("10.1.2.3", 8000), ["10.1.2.3:8000"], True),
        (("fd00::1", 8000), ["[fd00:0::1]:8000"], True),
        (("::ffff:10.1.2.3", 8000), ["10.1.0.0/16"], False),
        (("10.1.2.3", 8000), [], False),
    ],
)
def test_an_endpoint_is_allowed_by_what_names_it_and_by_nothing_else(
    address: tuple[str, int], entries: list[str], allowed: bool
) -> None:
    """A name by its name, an address by itself or its network."""
    assert is_allowed(HostPort(*address), [check_entry(entry) for entry in entries]) is allowed


@pytest.mark.parametrize("entry", ["", "*", "http://a", "a:0", "a:99999", "10.1.2.3/8", "10.1.0.0/40", "a b", "127.1"])
def test_an_entry_that_names_nothing_is_refused(entry: str) -> None:
    """A list that an operator believes to be right must be right."""
    with pytest.raises(ValueError):  # noqa: PT011 - ipaddress has words of its own
        check_entry(entry)
