"""``python -m follower.convert.openvino_export SOURCE FOLDER WEIGHTS INPUTS OUTPUTS``: ONNX to OpenVINO's own format.

Runs where OpenVINO is. ``FOLDER`` gets the graph and the weights, in 16 bits where ``WEIGHTS`` is ``fp16``; ``OUTPUTS``
gets what they answer in 32-bit floats, also on a CPU for which the engine would choose bf16.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import openvino  # type: ignore[import-not-found]

from follower.convert.sample_files import read_inputs, write_outputs
from model_repo.openvino_tar import GRAPH_FILE

_SETTINGS: Final = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1}


def main(arguments: Sequence[str]) -> None:
    """Writes both files and the answers."""
    source, folder, weights, inputs, outputs = arguments
    core = openvino.Core()
    graph = Path(folder) / GRAPH_FILE
    openvino.save_model(core.read_model(source), str(graph), compress_to_fp16=weights == "fp16")
    request = core.compile_model(core.read_model(str(graph)), "CPU", _SETTINGS).create_infer_request()
    samples = read_inputs(Path(inputs))
    answers = [[np.array(output) for output in request.infer(dict(each)).to_tuple()] for each in samples]
    write_outputs(Path(outputs), answers)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except RuntimeError as error:
        sys.exit(" ".join(str(error).split()))
