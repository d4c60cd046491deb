"""Derives a record's figures again from the raw file alone, and says which come out differently. Pure.

The manifest in the raw file holds the run and its circumstances; the plan is drawn again and must have the digest that
the run was made with. Then the same analysis runs over the same columns, and every figure must be equal to the last
bit, after both have taken the same way through JSON.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any, Final

from shared.measure.analyze import Measurement, analyze
from shared.measure.metrics import metrics_of
from shared.measure.plan_again import manifest_of, plan_again
from shared.measure.record import Record
from shared.measure.samples_file import Samples

ABSENT: Final = "absent"
"""Stands for a figure that only one side has."""

_MANIFEST_FACTS: Final = ("run_id", "attempt", "spec")
_FIGURES: Final = tuple(field.name for field in fields(Measurement))
_COMPARED: Final = {*_MANIFEST_FACTS, *_FIGURES, "calibration", "metrics"}


@dataclass(frozen=True)
class Mismatch:
    """One figure, by its dotted path in the record, with what the record says and what the raw file says."""

    figure: str
    recorded: Any
    recomputed: Any


def derive_again(samples: Samples, record: Record) -> list[Mismatch]:
    """Every figure of the record that the raw file does not bear out, in the record's order; none if all is well.

    Raises:
        InvalidInput: there is no manifest, its run is not valid, or its plan has another digest.
    """
    recorded, recomputed = _figures(record), _figures(recomputed_record(samples, record))
    return [
        Mismatch(path, recorded.get(path, ABSENT), recomputed.get(path, ABSENT))
        for path in dict.fromkeys([*recorded, *recomputed])
        if recorded.get(path, ABSENT) != recomputed.get(path, ABSENT)
    ]


def recomputed_record(samples: Samples, record: Record) -> Record:
    """The record with everything that can be derived from the raw file derived from it; the rest is as it was.

    Raises:
        InvalidInput: as ``derive_again``.
    """
    manifest, plan = manifest_of(samples), plan_again(samples)
    measured = analyze(samples.columns, plan, manifest.circumstances)
    facts = {name: getattr(manifest, name) for name in _MANIFEST_FACTS}
    figures = {name: getattr(measured, name) for name in _FIGURES}
    own_notes = record.notes[len(measured.notes) :]  # what the attempt had to say stands behind the analysis's notes
    derived = record.model_copy(
        update={
            **facts,
            **figures,
            "calibration": manifest.circumstances.calibration,
            "notes": (*measured.notes, *own_notes),
        }
    )
    return derived.model_copy(update={"metrics": metrics_of(derived)})


def figure_count(record: Record) -> int:
    """How many figures and facts are compared."""
    return len(_figures(record))


def _figures(record: Record) -> dict[str, Any]:
    """Dotted path -> plain value, as JSON has it."""
    return dict(_leaves(json.loads(record.model_dump_json(include=_COMPARED)), ""))


def _leaves(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    if not isinstance(value, dict | list):
        yield path, value
        return
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
        yield from _leaves(inner, f"{path}.{key}" if path else str(key))
