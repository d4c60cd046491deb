"""Inputs and answers on their way to and from a process that has an engine: arrays named ``sample.name``."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from follower.convert.check import Outputs
from follower.convert.samples import Inputs


def write_inputs(path: Path, samples: Sequence[Inputs]) -> None:
    """One array for each input of each sample."""
    _write(path, {f"{number}.{name}": array for number, each in enumerate(samples) for name, array in each.items()})


def read_inputs(path: Path) -> list[Inputs]:
    """As they were written."""
    with np.load(path) as arrays:
        samples: dict[int, dict[str, npt.NDArray[Any]]] = {}
        for key in arrays.files:
            number, _, name = key.partition(".")
            samples.setdefault(int(number), {})[name] = arrays[key]
    return [samples[number] for number in sorted(samples)]


def write_outputs(path: Path, answers: Sequence[Outputs]) -> None:
    """One array for each output of each sample, named by its place."""
    _write(
        path, {f"{sample}.{place}": array for sample, each in enumerate(answers) for place, array in enumerate(each)}
    )


def read_outputs(path: Path) -> list[Outputs]:
    """As they were written."""
    return [[each[f"{place}"] for place in range(len(each))] for each in read_inputs(path)]


def _write(path: Path, named: Mapping[str, npt.NDArray[Any]]) -> None:
    np.savez(path, **named)  # type: ignore[arg-type]
