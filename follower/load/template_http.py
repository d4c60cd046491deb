"""Plain HTTP with the sample in a body that the job gives, as the client sees it. Pure.

Source: JSON pointers, RFC 6901. A body is split once at its placeholder; what goes between is all that a request adds.
"""

import base64
import json
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from follower.load.encode import Array, InputTensor, MalformedAnswer, authority, secret_line
from follower.load.protocol import Target
from follower.load.response import ResponseReader
from shared.jobs.endpoint_api import PLACEHOLDER, TemplateApi

SAMPLE: Final = "sample"
"""The one input of what a template describes."""

ANSWER: Final = "answer"
"""Its one output."""

_JSON_MEDIA: Final = frozenset({b"", b"application/json", b"text/json"})
_SHOWN_CHARACTERS: Final = 80


class TemplateReader(ResponseReader):
    """Reads answers, and knows the template that their requests were made of."""

    def __init__(self, template: TemplateApi, *, keep_body: bool) -> None:
        super().__init__(keep_body=keep_body)
        self.template = template


def encode_template(target: Target, template: TemplateApi, inputs: Sequence[InputTensor]) -> bytes:
    """All bytes of one HTTP/1.1 request that carries the one sample of the one input, of shape (1, ...).

    Raises:
        ValueError: there are several, or the sample cannot stand in the body.
    """
    if len(inputs) != 1 or inputs[0].array.shape[:1] != (1,):
        raise ValueError(f"a template takes one sample; found {[tensor.array.shape for tensor in inputs]}")
    before, _, after = template.body.partition(PLACEHOLDER)
    body = b"".join([before.encode(), _written(template, inputs[0].array[0]).encode(), after.encode()])
    given = "".join(f"{name}: {value}\r\n" for name, value in template.headers.items())
    typed = "" if "content-type" in map(str.lower, template.headers) else f"Content-Type: {template.content_type}\r\n"
    head = (
        f"POST {target.path} HTTP/1.1\r\nHost: {authority(target)}\r\n{typed}{given}{secret_line(target)}"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode("ascii") + body


def _written(template: TemplateApi, sample: Array) -> str:
    """The sample as it stands in the body."""
    if template.sample == "json":
        return json.dumps(sample.tolist(), separators=(",", ":"), allow_nan=False)
    if sample.dtype != np.uint8:
        raise ValueError(f"sample {template.sample} takes the dataset's bytes, and this one is {sample.dtype}")
    data = sample.tobytes()
    if template.sample == "base64":
        return base64.b64encode(data).decode()
    text = data.decode()  # a UnicodeDecodeError is a ValueError
    return json.dumps(text)[1:-1] if template.is_json else text


def decode_template(reader: TemplateReader) -> dict[str, Array]:
    """What the template's pointer leads to, as the output ``ANSWER`` of shape (1, ...).

    Numbers as INT64, FP64 or BOOL, text as one string of bytes. Without a pointer nothing is looked at, and the output
    has shape (1, 0).

    Raises:
        MalformedAnswer: the answer is not JSON, or the pointer leads to nothing that can be used.
    """
    pointer = reader.template.answer
    if pointer is None:
        return {ANSWER: np.zeros((1, 0))}
    media = reader.headers.get(b"content-type", b"").partition(b";")[0].strip()
    if media not in _JSON_MEDIA and not media.endswith(b"+json"):
        raise MalformedAnswer(f"the answer is {media.decode(errors='replace')}, and not JSON, which a pointer is for")
    try:
        document = json.loads(reader.body)
    except (ValueError, RecursionError) as error:
        raise MalformedAnswer(f"the answer is not JSON: {error!r}") from error
    return {ANSWER: _array(pointer, found_at(document, pointer))[np.newaxis]}


def found_at(document: Any, pointer: str) -> Any:
    """What a JSON pointer leads to.

    Raises:
        MalformedAnswer: nothing is there; says how far it led.
    """
    at = ""
    for token in pointer.split("/")[1:]:
        document = _step(document, token.replace("~1", "/").replace("~0", "~"), f"answer {pointer!r}, at {at!r}")
        at += f"/{token}"
    return document


def _step(value: Any, key: str, where: str) -> Any:
    if isinstance(value, dict):
        if key in value:
            return value[key]
        keys = ", ".join(sorted(map(str, value)))[:_SHOWN_CHARACTERS]
        raise MalformedAnswer(f"{where}: no key {key!r}; there are: {keys or 'none'}")
    if isinstance(value, list):
        is_index = key.isascii() and key.isdigit() and (key == "0" or not key.startswith("0"))
        if is_index and len(key) < len(str(len(value))) + 1 and int(key) < len(value):
            return value[int(key)]
        raise MalformedAnswer(f"{where}: a list of {len(value)} has no {key!r}")
    raise MalformedAnswer(f"{where}: {value!r:.{_SHOWN_CHARACTERS}} has nothing below it")


def _array(pointer: str, value: Any) -> Array:
    if isinstance(value, str):
        text = np.empty((), dtype=object)
        text[()] = value.encode()
        return text
    try:
        array = np.array(value)
    except (ValueError, OverflowError, RecursionError) as error:
        raise MalformedAnswer(f"answer {pointer!r}: the lists are not of equal length") from error
    if array.dtype.kind not in "iufb":
        raise MalformedAnswer(f"answer {pointer!r}: {value!r:.{_SHOWN_CHARACTERS}} is neither numbers nor one text")
    return array
