"""The manifest: facts that come back from JSON as they went in."""

import math

import pytest
from pydantic import ValidationError
from support.raw_files import raw_samples
from support.records import NOON

from shared.jobs.slo import RequestLimits, SloSpec
from shared.measure.manifest import Calibration, Circumstances, DeviceReading, HostLimits, HostReading, Manifest


def whole() -> Manifest:
    """A manifest with every kind of fact, and numbers that are no round ones."""
    made = raw_samples().manifest
    assert made is not None
    calibration = Calibration(
        protocol="grpc", request_bytes=1, response_bytes=2, connections=3, workers=4, ceiling_rps=math.pi * 1e3,
        added_p50_us=0.1 + 0.2, added_p99_us=1e-9, lateness_p50_us=2**-40, lateness_p99_us=1 / 3, measured_at=NOON,
    )  # fmt: skip
    return made.model_copy(
        update={
            "circumstances": made.circumstances.model_copy(
                update={
                    "calibration": calibration,
                    "slo": SloSpec(p99_ms=0.1 + 0.2, request=RequestLimits(queue_ms=1.1)),
                    "host": (HostReading(at_ns=2**62, foreign_ns=1, steal_ns=0),),
                    "devices": (
                        DeviceReading(at_ns=1, index=0, busy_pct=99.9, memory_bytes=2**40, power_w=None, energy_mj=7),
                    ),
                    "limits": HostLimits(mark_above=0.05, invalid_above=0.25),
                    "unavailable": {"power": "the driver does not tell"},
                    "mean_in_flight": 3.3000000000000003,
                }
            )
        }
    )


def test_every_fact_survives_json() -> None:
    """Integers of 63 bits and floats to the last bit: figures derived from it must be equal."""
    manifest = whole()
    assert Manifest.model_validate_json(manifest.model_dump_json()) == manifest


def test_what_is_not_known_is_said_by_its_absence() -> None:
    """Circumstances need only what every run has; the rest is "not known", never zero."""
    bare = Circumstances(origin_ns=1, max_in_flight=1)
    assert (bare.mean_in_flight, bare.calibration, bare.busy_before, bare.limits) == (None, None, None, None)
    assert (bare.server, bare.client, bare.host, bare.devices) == ((), (), (), ())


def test_a_misspelt_fact_is_refused() -> None:
    """It must never mean "not known"."""
    with pytest.raises(ValidationError, match="mean_inflight"):
        Circumstances.model_validate({"origin_ns": 1, "max_in_flight": 1, "mean_inflight": 2.0})


def test_a_manifest_does_not_change() -> None:
    """It describes what was."""
    with pytest.raises(ValidationError, match="frozen"):
        whole().attempt = 2  # type: ignore[misc]
