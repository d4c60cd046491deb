"""How far one model's outputs are from another's. Pure."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from follower.convert.samples import Samples
from model_repo.convert.lineage import OutputCheck
from shared.errors import InvalidModel

Outputs = Sequence[npt.NDArray[Any]]
"""Of one sample, in the model's order."""


def output_check(samples: Samples, before: Sequence[Outputs], after: Sequence[Outputs]) -> OutputCheck:
    """The errors over all outputs of the checked samples, and the accuracy of the first output.

    Raises:
        InvalidModel: the converted model gives other shapes, or numbers that are none.
    """
    absolute = largest = 0.0
    for old, new in zip(before, after, strict=True):
        for number, (left, right) in enumerate(zip(old, new, strict=True)):
            if left.shape != right.shape:
                shapes = f"{list(right.shape)}; the source gives {list(left.shape)}"
                raise InvalidModel(f"output {number} of the converted model has shape {shapes}")
            if not np.isfinite(right.astype(np.float64)).all():
                raise InvalidModel(f"output {number} of the converted model holds values that are not finite")
            absolute = max(absolute, float(np.abs(left.astype(np.float64) - right.astype(np.float64)).max(initial=0)))
            largest = max(largest, float(np.abs(left.astype(np.float64)).max(initial=0)))
    return OutputCheck(
        inputs=samples.name,
        samples=len(before),
        max_abs_error=absolute,
        max_rel_error=absolute / largest if largest else 0.0,
        accuracy_before=samples.accuracy([outputs[0] for outputs in before]),
        accuracy_after=samples.accuracy([outputs[0] for outputs in after]),
    )
