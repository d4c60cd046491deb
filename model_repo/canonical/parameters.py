"""A canonical network's weights as arrays, for emitters of other formats: the very ones that the ONNX file holds."""

import numpy as np
import numpy.typing as npt

from model_repo.canonical.architecture import input_shape
from model_repo.canonical.families import FAMILIES
from model_repo.canonical.graph import GraphBuilder
from shared.jobs.spec import CanonicalSpec


def parameters_of(spec: CanonicalSpec) -> list[npt.NDArray[np.float32]]:
    """In the order in which the network uses them; shapes and layouts are those of the ONNX operators."""
    graph = GraphBuilder(spec.seed)
    graph.finish(spec.family, FAMILIES[spec.family](spec, graph), spec.width, input_shape(spec))
    return graph.parameters()
