"""The parameters that routes share, each with its form: what does not fit never reaches a query."""

from typing import Annotated, Final

from fastapi import Header, Path, Query

from shared.jobs.spec import NAME_PATTERN

MAX_PAGE: Final = 200
_LONGEST_ID: Final = 64
_SHA256_PATTERN: Final = r"^[0-9a-f]{64}$"

JobId = Annotated[str, Path(max_length=_LONGEST_ID, examples=["j-01jd3v6x8k5m2n7p9q4r1s0t3w"])]
RunId = Annotated[str, Path(max_length=_LONGEST_ID, examples=["j-01jd3v6x8k5m2n7p9q4r1s0t3w.0000"])]
ConversionId = Annotated[str, Path(max_length=_LONGEST_ID, examples=["c-01jd3v6x8k5m2n7p9q4r1s0t3w"])]
NamePath = Annotated[str, Path(pattern=NAME_PATTERN)]
VersionPath = Annotated[int, Path(ge=1, le=2**31 - 1)]
NumberQuery = Annotated[int, Query(ge=1, le=2**31 - 1)]
"""Of an attempt, or its fence."""
Sha256Path = Annotated[str, Path(pattern=_SHA256_PATTERN)]
Sha256Query = Annotated[str, Query(pattern=_SHA256_PATTERN)]

NameFilter = Annotated[str | None, Query(pattern=NAME_PATTERN)]
IdFilter = Annotated[str | None, Query(pattern=r"^j-[0-9a-z]{1,62}$")]
Limit = Annotated[int, Query(ge=1, le=MAX_PAGE, description="Most items on the page.")]
Cursor = Annotated[str | None, Query(max_length=512, description="`next_cursor` of the page before; opaque.")]

IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        pattern=r"^[\x21-\x7e]{1,255}$",
        description="Makes a repeated submit return the first one's job. Yours to choose; a UUID will do.",
    ),
]
Attempt = Annotated[int | None, Query(ge=1, le=2**31 - 1, description="Only of this attempt, whatever became of it.")]
LastEventId = Annotated[
    str | None,
    Header(alias="Last-Event-ID", pattern=r"^\d{1,18}\.\d{1,18}$", description="Go on behind this event."),
]
