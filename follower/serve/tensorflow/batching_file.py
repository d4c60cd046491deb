"""TensorFlow Serving's batching_parameters_file: written by the platform, read by the stand-in's server. Pure.

Source: TensorFlow Serving's "Batching Guide" and ``session_bundle_config.proto``, message BatchingParameters.
"""

import re
from dataclasses import dataclass
from typing import Final

from shared.jobs.spec import ServiceSpec

MOST_ENQUEUED_BATCHES: Final = 1_000_000
"""Far more than any load keeps waiting: a full queue refuses requests, and the job asks for none to be refused."""

_MICROSECONDS_PER_MS: Final = 1000
_FIELD: Final = re.compile(r"\s*(\w+)\s*\{\s*value\s*:\s*(\d+)\s*\}")


@dataclass(frozen=True, kw_only=True)
class BatchingParameters:
    """How the batch scheduler forms batches. A request of more samples than ``max_batch_size`` is refused."""

    max_batch_size: int
    batch_timeout_micros: int
    num_batch_threads: int
    max_enqueued_batches: int = MOST_ENQUEUED_BATCHES

    def text(self) -> str:
        """The file, in protobuf's text format."""
        return "".join(f"{name} {{ value: {value} }}\n" for name, value in vars(self).items())


def parameters_of(service: ServiceSpec) -> BatchingParameters | None:
    """What the job file's ``service.batching`` and ``instances`` mean; None for no batching."""
    batching = service.batching
    if batching.max_batch_size == 1:
        return None
    return BatchingParameters(
        max_batch_size=batching.max_batch_size,
        batch_timeout_micros=round(batching.max_delay_ms * _MICROSECONDS_PER_MS),
        num_batch_threads=service.instances,
    )


def parse(text: str) -> BatchingParameters:
    """What ``text`` wrote.

    Raises:
        ValueError: anything else.
    """
    found = {name: int(value) for name, value in _FIELD.findall(text)}
    if _FIELD.sub("", text).strip() or not found.keys() <= BatchingParameters.__dataclass_fields__.keys():
        raise ValueError(f"not the batching parameters that this server knows: {text.strip()!r:.200}")
    try:
        return BatchingParameters(**found)
    except TypeError as error:
        raise ValueError(f"batching parameters are missing: {error}") from error
