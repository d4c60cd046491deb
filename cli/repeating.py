"""A run's record as a job file that asks for the same once more."""

import json
from typing import Any, Final

from shared.measure.record import Record
from shared.wire.views import JobView

_FROM_JOB: Final = ("team", "priority")


def job_file_of(record: Record, job: JobView) -> bytes:
    """A job of one run: the effective configuration, the same seed, and the model's version that was served.

    JSON, which is YAML. The newest version of a dataset or a trace is taken, because a job file names no other; if
    its bytes differ, so does the comparability key of the new record.
    """
    spec = {name: section for name, section in record.spec.items() if section is not None}
    head: dict[str, Any] = {"apiVersion": "inferbench/v1", "kind": "Job", "name": job.name}
    head |= {name: getattr(job, name) for name in _FROM_JOB}
    return json.dumps(head | spec | {"model": _pinned(record)}).encode()


def _pinned(record: Record) -> dict[str, Any]:
    """The model at the version that the record was made with."""
    model, pin = dict(record.spec["model"]), (record.environment.get("pins") or {}).get("model")
    if pin and "name" in model:
        model["version"] = pin["version"]
    return model
