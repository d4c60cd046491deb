"""Puts the record together from what the phases found. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from follower.attempt.order import AttemptOrder
from model_repo.cards import ModelCard
from model_repo.identity import model_digest
from shared.jobs.keys import comparability_key, configuration_key, hardware_of
from shared.measure.analyze import Measurement
from shared.measure.cold_starts import ColdStartMeasurement
from shared.measure.manifest import Calibration
from shared.measure.metrics import metrics_of
from shared.measure.record import ColdStart, Quality, Record


@dataclass(frozen=True, kw_only=True)
class Findings:
    """What one attempt found out."""

    started_at: datetime
    finished_at: datetime
    card: ModelCard
    cold_start: ColdStart
    measurement: Measurement | ColdStartMeasurement
    calibration: Calibration | None
    quality: Quality | None
    in_force: Mapping[str, Any]  # pinning, preflight, payloads: what was really so, beside what was asked for
    samples_sha256: str | None  # None where there are none: a cold start
    notes: tuple[str, ...] = ()


def build_record(order: AttemptOrder, found: Findings) -> Record:
    """The record of a successful attempt, with every registered metric."""
    assignment = order.assignment
    key = comparability_key(
        assignment.spec,
        model_digest(assignment.spec, assignment.model.sha256 if assignment.model else None),
        assignment.dataset.sha256 if assignment.dataset else None,
        assignment.trace.sha256 if assignment.trace else None,
    )
    measured = found.measurement
    figures = {field.name: getattr(measured, field.name) for field in fields(measured) if field.name != "notes"}
    record = Record(
        run_id=assignment.run_id,
        job_id=assignment.job_id,
        attempt=assignment.attempt,
        follower=order.follower,
        slot=order.slot.name,
        started_at=found.started_at,
        finished_at=found.finished_at,
        spec=assignment.spec.model_dump(mode="json"),
        comparability_key=key,
        configuration_key=configuration_key(
            key, assignment.spec.service, hardware_of(order.inventory, order.slot), order.inventory.versions
        ),
        environment=_environment(order, found.in_force),
        model_card=found.card.model_dump(mode="json"),
        cold_start=found.cold_start,
        **figures,
        calibration=found.calibration,
        quality=found.quality,
        notes=(*measured.notes, *found.notes),
        samples_sha256=found.samples_sha256,
    )
    return record.model_copy(update={"metrics": metrics_of(record)})


def _environment(order: AttemptOrder, in_force: Mapping[str, Any]) -> dict[str, Any]:
    assignment = order.assignment
    pins = {"model": assignment.model, "dataset": assignment.dataset, "trace": assignment.trace}
    return {
        "follower": order.follower,
        "inventory": order.inventory.model_dump(mode="json"),
        "slot": order.slot.model_dump(mode="json"),
        "pins": {name: pin and pin.model_dump(mode="json", exclude={"card"}) for name, pin in pins.items()},
        "settings": {
            "preflight": order.preflight,
            "max_busy_share": order.max_busy_share,
            "invalid_busy_share": order.invalid_busy_share,
        },
        "in_force": dict(in_force),
    }
