"""Records as they were stored before there were verdict kinds, certified percentiles and calibrations, made readable.

What was not kept then is not available now: nothing is made up.
"""

import json
from typing import Any, Final

from shared.jobs.units import parse_duration_ns
from shared.measure.record import PERCENTILES, Record
from shared.wire.assignment import Result

NOTE: Final = "stored by an older version: intervals, host, calibration and the verdict's figures were not kept"

_MARK: Final = '"validity":'
_KINDS: Final = {"valid": "stable", "marked": "stable", "invalid": "invalid"}
_UNCERTIFIED: Final = {
    "ms": None,
    "low_ms": None,
    "high_ms": None,
    "certified": False,
    "reason": "measured before percentiles were certified; the record's metrics have the plain figure",
}
_NO_HOST: Final = dict.fromkeys(("foreign_share", "steal_share", "throttled_share", "collector_share"))


def read_record(text: str) -> Record:
    """A record of this or an older version."""
    if _MARK not in text:
        return Record.model_validate_json(text)
    return Record.model_validate(upgraded(json.loads(text)))


def read_result(text: str) -> Result:
    """A delivered result of this or an older version."""
    if _MARK not in text:
        return Result.model_validate_json(text)
    result = json.loads(text)
    outcome = result["outcome"]
    if outcome["kind"] == "success":
        outcome["record"] = upgraded(outcome["record"])
    return Result.model_validate(result)


def upgraded(record: dict[str, Any]) -> dict[str, Any]:
    """The record in the present form; one that has it already stays as it is."""
    if "validity" not in record:
        return record
    validity = record["validity"]
    return {
        **{name: value for name, value in record.items() if name != "validity"},
        "response_latency": _latency(record["response_latency"]),
        "service_latency": _latency(record["service_latency"]),
        "wire_latency": None,
        "warmup_s": _warmup_s(record["spec"]),
        "host": _NO_HOST,
        "calibration": None,
        "goodput": None,
        "verdict": {"kind": _KINDS[validity["verdict"]], "reasons": validity["reasons"]},
        "notes": [*record["notes"], NOTE],
    }


def _latency(summary: dict[str, Any]) -> dict[str, Any]:
    kept = {name: summary[name] for name in ("n", "mean_ms", "stddev_ms", "min_ms", "max_ms")}
    return {**kept, "n_effective": None, "percentiles": dict.fromkeys(PERCENTILES, _UNCERTIFIED)}


def _warmup_s(spec: dict[str, Any]) -> float:
    """What was asked for, which is what was left out then."""
    try:
        return parse_duration_ns(spec["workload"]["warmup"]) / 1e9
    except (KeyError, TypeError, ValueError):
        return 0.0
