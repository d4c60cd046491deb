"""The operator's secrets: who may have which, and that nothing but a request ever holds a value."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import hpack
import numpy as np
import pytest

from follower.load.dialects import DIALECTS
from follower.load.encode import InputTensor
from follower.load.protocol import Target
from follower.serve.endpoint.secrets import header_for, read_secrets
from follower.serve.secure import HIDDEN, SecretHeader, Tls
from shared.errors import InvalidInput
from shared.jobs.endpoint_address import HostPort
from shared.jobs.endpoint_api import TemplateApi

VALUE = "Bearer s3cr3t-t0ken"
FILE = f"""
[lab]
value = "{VALUE}"
hosts = ["triton.lab:8443", "10.1.0.0/16"]

[key]
header = "X-Api-Key"
value = "0123456789"
hosts = ["models.lab"]
"""
TRITON = HostPort("triton.lab", 8443, tls=True)
HEADER = SecretHeader(name="Authorization", value=VALUE)


def secrets_file(tmp_path: Path, text: str = FILE, mode: int = 0o600) -> Path:
    """The operator's file."""
    path = tmp_path / "secrets.toml"
    path.write_text(text)
    path.chmod(mode)
    return path


def test_a_job_gets_the_header_that_it_names_for_the_hosts_that_the_operator_names(tmp_path: Path) -> None:
    """By name, by port, by network; Authorization unless the operator says otherwise."""
    path = secrets_file(tmp_path)
    assert header_for("lab", TRITON, path) == HEADER
    assert header_for("lab", HostPort("10.1.2.3", 1, tls=True), path) == HEADER
    assert header_for("key", HostPort("models.lab", 9, tls=True), path).name == "X-Api-Key"
    assert sorted(read_secrets(path)) == ["key", "lab"]
    assert read_secrets(None) == {}


@pytest.mark.parametrize(
    ("name", "named", "told"),
    [
        ("lab", HostPort("triton.lab", 8444, tls=True), r"lab is for triton\.lab:8443, 10\.1\.0\.0/16, and not for"),
        ("lab", HostPort("evil.lab", 8443, tls=True), "and not for evil.lab:8443"),
        ("key", TRITON, r"key is for models\.lab, and not for triton\.lab:8443"),
        ("lab", HostPort("triton.lab", 8443), "lab is sent over https:// only"),
        ("other", TRITON, "this follower has no secret other; it has key, lab"),
    ],
)
def test_nobody_else_gets_it(tmp_path: Path, name: str, named: HostPort, told: str) -> None:
    """Another host, another port, another secret's host, in the clear."""
    with pytest.raises(InvalidInput, match=told) as caught:
        header_for(name, named, secrets_file(tmp_path))
    assert "s3cr3t" not in caught.value.detail
    with pytest.raises(InvalidInput, match="no secret lab; it has none"):
        header_for("lab", TRITON, None)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[lab]\nvalue = 'oops-my-value", "is not TOML"),
        ("lab = 'oops-my-value'", "lab: "),
        ("[lab]\nvalue = 'oops-my-value'", "lab.hosts: Field required"),
        ("[lab]\nvalue = 'oops-my-value'\nhosts = []", "lab.hosts"),
        ("[lab]\nvalue = 'oops-my-value'\nhosts = ['*']", "lab.hosts"),
        ("[lab]\nvalue = 'oops-my-value'\nhosts = ['a']\nheader = 'Host'", "follows from the request"),
        ("[lab]\nvalue = 'oops-my-value'\nhosts = ['a']\nheader = 'A b'", "lab.header"),
        ("[lab]\nvalue = 'oops-my-value'\nhosts = ['a']\nmore = 1", "lab.more"),
        ("[lab]\nvalue = 'oops-my-value\\u00e9 '\nhosts = ['a']", "printable ASCII"),
        ('[lab]\nvalue = "oops-my-value\\r\\nX: 1"\nhosts = ["a"]', "printable ASCII"),
        ("[lab]\nvalue = 'short'\nhosts = ['a']", "8 to 1,000"),
        ("[Lab]\nvalue = 'oops-my-value'\nhosts = ['a']", "Lab: is not a name"),
    ],
)
def test_a_file_that_is_wrong_is_told_with_its_place_and_without_its_values(
    tmp_path: Path, text: str, told: str
) -> None:
    """At the start of the agent, and again by an attempt."""
    with pytest.raises(InvalidInput, match=told) as caught:
        read_secrets(secrets_file(tmp_path, text))
    assert "my-value" not in caught.value.detail + repr(caught.value.problems) + repr(caught.value.__cause__)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_file_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    """With what to do."""
    with pytest.raises(InvalidInput, match="chmod 600"):
        read_secrets(secrets_file(tmp_path, mode=mode))
    with pytest.raises(InvalidInput, match="cannot be read: No such file"):
        read_secrets(tmp_path / "none.toml")


def test_what_is_said_of_it_has_no_value_in_it() -> None:
    """Neither the object nor what a service repeats: the whole value, and its part behind the word."""
    assert "s3cr3t" not in repr(HEADER)
    assert "s3cr3t" not in repr(Target(host="h", port=1, path="/", secret=HEADER))
    assert HEADER.hidden_in(f"you said {VALUE}!") == f"you said {HIDDEN}!"
    assert HEADER.hidden_in("token s3cr3t-t0ken is old") == f"token {HIDDEN} is old"
    assert HEADER.hidden_in("no Bearer") == "no Bearer"
    assert HEADER.is_in(b'{"got": "s3cr3t-t0ken"}')
    assert not HEADER.is_in(b'{"got": "nothing"}')


TARGET = Target(host="h", port=1, path="/v1", model_name="m", tls=Tls(server_name="h"), secret=HEADER)
TENSOR = InputTensor(name="sample", datatype="FP32", array=np.zeros((1, 2), np.float32))


@pytest.mark.parametrize("dialect", ["openinference-http", "tensorflow-rest", "template-http"])
def test_every_request_over_http_carries_it_once(dialect: Any) -> None:
    """As a header line of its own, before the body."""
    template = TemplateApi(api="template", path="/v1", body='{"x": {{sample}}}', sample="json", shape=[2])
    target = replace(TARGET, dialect=dialect, template=template)
    for each, count in ((target, 1), (replace(target, secret=None), 0)):
        head, _, body = DIALECTS[each.dialect].encode(each, [TENSOR]).partition(b"\r\n\r\n")
        assert head.split(b"\r\n").count(b"Authorization: " + VALUE.encode()) == count
        assert b"s3cr3t" not in body


def test_every_call_over_grpc_carries_it_never_to_be_indexed() -> None:
    """By hpack's own decoder, with the scheme that is spoken."""
    target = replace(TARGET, dialect="openinference-grpc")
    codec = DIALECTS["openinference-grpc"].codec(target, keep_body=True)
    said = codec.start(b"\0\0\0\0\0")
    length = int.from_bytes(said[:3], "big")
    fields = hpack.Decoder().decode(bytes(said[9 : 9 + length]), raw=True)
    assert (b":scheme", b"https") in [tuple(field) for field in fields]
    (secret,) = [field for field in fields if field[0] == b"authorization"]
    assert secret[1] == VALUE.encode()
    assert isinstance(secret, hpack.NeverIndexedHeaderTuple)
