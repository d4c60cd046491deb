"""What platform ``endpoint`` speaks with what already runs: the section ``service.endpoint`` of a job file."""

import json
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Annotated, Final, Literal, Self

from pydantic import Field, model_validator

from shared.jobs.section import Contradiction, Section, refuse

PLACEHOLDER: Final = "{{sample}}"
"""Where a template's body takes the sample."""

URL_PATH_PATTERN: Final = r'^/[!"$-~]{0,2000}$'
HEADER_NAME_PATTERN: Final = r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$"
"""Narrower than HTTP has it: names become keys of stored documents, where dots and dollars mean something."""
HEADER_VALUE_PATTERN: Final = r"^[!-~]([ -~]{0,998}[!-~])?$"
POINTER_PATTERN: Final = r"^(/([^~/]|~[01])*)*$"

SECRET_NAME_PATTERN: Final = r"^[a-z0-9][a-z0-9_-]{0,63}$"  # noqa: S105 - of a name

_CONTENT_TYPE: Final = "content-type"
_JSON: Final = "application/json"
NOT_A_JOBS_TO_SET: Final = frozenset(
    {"host", "content-length", "transfer-encoding", "connection", "expect", "upgrade", "te", "trailer"}
)
"""Headers that the generator writes itself, or that would change how an exchange is framed."""
_SECRET: Final = frozenset({"authorization", "proxy-authorization", "cookie", "x-api-key", "api-key"})

_EXAMPLES: Final[Mapping[str, str]] = MappingProxyType({"base64": "AAAA", "text": r"a\"\n", "json": '["a"]'})
"""What is filled in to see whether a body is JSON: each breaks it where the placeholder's quotes are the wrong ones."""


class _Api(Section):
    """What all of them may say."""

    secret: Annotated[str, Field(pattern=SECRET_NAME_PATTERN)] | None = Field(
        None,
        description="Name of a secret of the follower's operator, sent as a header with every request; the job never"
        " has its value. With https:// only.",
    )


class OpenInferenceApi(_Api):
    """The Open Inference Protocol v2, over `service.protocol`; the same as no section at all."""

    api: Literal["openinference"] = Field(description="Open Inference Protocol v2.")


class TensorFlowApi(_Api):
    """TensorFlow Serving's predict call: REST for protocol http, its PredictionService for grpc."""

    api: Literal["tensorflow"] = Field(description="TensorFlow Serving; `url` names the port of `service.protocol`.")


class TemplateApi(_Api):
    """One POST of plain HTTP for each sample, with the sample in a body that the job gives."""

    api: Literal["template"] = Field(description="Plain HTTP with a body template; protocol http only.")
    path: Annotated[str, Field(pattern=URL_PATH_PATTERN)] = Field(description="Where to POST to, such as `/predict`.")
    headers: dict[
        Annotated[str, Field(pattern=HEADER_NAME_PATTERN)], Annotated[str, Field(pattern=HEADER_VALUE_PATTERN)]
    ] = Field(
        default_factory=dict,
        max_length=32,
        description="Sent with every request and kept in records, so no secrets. `Content-Type` is `application/json`"
        " unless given; a body of another type need not be JSON.",
    )
    body: str = Field(
        min_length=1, max_length=32_768, description="What to send, with `{{sample}}` once, where the sample belongs."
    )
    sample: Literal["base64", "text", "json"] = Field(
        description="How the sample stands there: `base64` and `text` as the dataset has it (in JSON between quotes of"
        " the template's), `json` as a list of numbers, after pre-processing."
    )
    answer: Annotated[str, Field(pattern=POINTER_PATTERN)] | None = Field(
        None,
        description="JSON pointer (RFC 6901) to one sample's scores or text in the answer; without it answers are"
        " not looked at.",
    )
    shape: list[Annotated[int, Field(ge=1, le=16_777_216)]] | None = Field(
        None, max_length=8, description="Of one synthetic sample, without a batch; for `sample: json`."
    )

    @property
    def content_type(self) -> str:
        """Of the body."""
        return next((value for name, value in self.headers.items() if name.lower() == _CONTENT_TYPE), _JSON)

    @property
    def is_json(self) -> bool:
        """Whether the body has to be JSON."""
        media = self.content_type.partition(";")[0].strip().lower()
        return media == _JSON or media.endswith("+json")

    @model_validator(mode="after")
    def _can_be_filled(self) -> Self:
        refuse([*self._bad_body(), *self._bad_headers(), *self._bad_shape()])
        return self

    def _bad_body(self) -> Iterator[Contradiction]:
        count = self.body.count(PLACEHOLDER)
        if count != 1:
            said = "does not stand in it" if not count else f"stands in it {count} times"
            yield Contradiction(("body",), f"{PLACEHOLDER} {said}; it has to, once, where the sample belongs")
            return
        if not self.is_json:
            return
        try:
            json.loads(self.body.replace(PLACEHOLDER, _EXAMPLES[self.sample]), parse_constant=_no_json)
        except (ValueError, RecursionError) as error:
            quotes = "without quotes around" if self.sample == "json" else "with quotes around"
            said = f"is not JSON once {PLACEHOLDER} is filled ({error}); sample {self.sample} is written {quotes} it"
            yield Contradiction(("body",), f"{said}, and text that is not JSON needs a Content-Type of its own")

    def _bad_headers(self) -> Iterator[Contradiction]:
        seen = set[str]()
        for name in self.headers:
            plain = name.lower()
            if plain in seen:
                yield Contradiction(("headers", name), f"{name} is given twice; case does not count")
            if plain in NOT_A_JOBS_TO_SET:
                yield Contradiction(("headers", name), f"{name} is not the job's to set; it follows from the request")
            if plain in _SECRET:
                yield Contradiction(
                    ("headers", name), f"{name} is a secret, and records can be read: name one in secret"
                )
            seen.add(plain)

    def _bad_shape(self) -> Iterator[Contradiction]:
        if self.shape is not None and self.sample != "json":
            yield Contradiction(("shape",), f"a shape goes with sample: json; {self.sample} sends the dataset's bytes")


def _no_json(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


EndpointSpec = Annotated[OpenInferenceApi | TensorFlowApi | TemplateApi, Field(discriminator="api")]
