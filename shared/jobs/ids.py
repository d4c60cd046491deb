"""Names of jobs and runs. They sort by time of submission and can be told apart from anything else at sight.

A job is ``j-`` and 26 characters of lower-case Crockford base32, laid out as a ULID: 48 bits of UTC milliseconds,
80 random bits. A run is its job's id, a dot and its index in four digits or more. A conversion is made as a job is, and
begins with ``c-``.
"""

import re
from datetime import UTC, datetime, timedelta
from typing import Final

RANDOM_BYTES: Final = 10
JOB_ID_PATTERN: Final = r"j-[0-7][0-9a-hjkmnp-tv-z]{25}"
CONVERSION_ID_PATTERN: Final = r"c-[0-7][0-9a-hjkmnp-tv-z]{25}"
RUN_ID_PATTERN: Final = JOB_ID_PATTERN + r"\.[0-9]{4,6}"

_ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)


def new_job_id(now: datetime, randomness: bytes) -> str:
    """A job's id from an aware time and ``RANDOM_BYTES`` random bytes, such as ``secrets.token_bytes`` gives.

    Raises:
        ValueError: not as many bytes as are needed, or a time outside the years 1970 to 10889.
    """
    milliseconds = (now - _EPOCH) // _MILLISECOND
    if len(randomness) != RANDOM_BYTES or not 0 <= milliseconds < 2**48:
        raise ValueError(f"a job id takes {RANDOM_BYTES} random bytes and a time from 1970 on; found {now}")
    number = (milliseconds << 80) | int.from_bytes(randomness, "big")
    return "j-" + "".join(_ALPHABET[(number >> shift) & 31] for shift in range(125, -5, -5))


def new_conversion_id(now: datetime, randomness: bytes) -> str:
    """A conversion's id; takes and raises what ``new_job_id`` does."""
    return f"c-{new_job_id(now, randomness)[2:]}"


def run_id(job_id: str, index: int) -> str:
    """The id of a job's run number ``index``, counted from 0."""
    return f"{job_id}.{index:04d}"


def job_of(run: str) -> str:
    """The job that a run belongs to."""
    return run.rpartition(".")[0]


def is_job_id(text: str) -> bool:
    """Whether ``text`` could name a job; anything else need not be looked up."""
    return re.fullmatch(JOB_ID_PATTERN, text) is not None


def is_run_id(text: str) -> bool:
    """Whether ``text`` could name a run; anything else need not be looked up."""
    return re.fullmatch(RUN_ID_PATTERN, text) is not None


def is_conversion_id(text: str) -> bool:
    """Whether ``text`` could name a conversion; anything else need not be looked up."""
    return re.fullmatch(CONVERSION_ID_PATTERN, text) is not None
