"""Triton's statistics document as sums. Pure.

Source: Triton's protocol extension "statistics": ``inference_stats`` and ``batch_stats`` of one model.
"""

from collections.abc import Mapping
from typing import Any

from follower.serve.protocol import ServerStatistics


def statistics_of(document: Mapping[str, Any]) -> ServerStatistics:
    """The sums of the document's only model.

    Raises:
        ValueError: it is not the extension's document.
    """
    try:
        (model,) = document["model_stats"]
        spent = model["inference_stats"]
        return ServerStatistics(
            inferences=int(model["inference_count"]),
            executions=int(model["execution_count"]),
            queue_ns=int(spent["queue"]["ns"]),
            input_ns=int(spent["compute_input"]["ns"]),
            inference_ns=int(spent["compute_infer"]["ns"]),
            output_ns=int(spent["compute_output"]["ns"]),
            batches={int(row["batch_size"]): int(row["compute_infer"]["count"]) for row in model["batch_stats"]},
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"not a document of the statistics extension: {error!r}") from error
