"""A canonical network's identity and card, known before it is built and without importing onnx."""

import hashlib
import json

from model_repo.canonical.architecture import (
    CLASSES,
    GENERATOR_VERSION,
    INPUT,
    MAX_WEIGHT_BYTES,
    OPSET,
    OUTPUT,
    TRAINER_VERSION,
    input_shape,
)
from model_repo.canonical.cost import cost_of
from model_repo.cards import ModelCard, TensorCard
from shared.errors import InvalidModel, Problem
from shared.jobs.keys import canonical_identity
from shared.jobs.spec import CanonicalSpec


def canonical_digest(spec: CanonicalSpec) -> str:
    """sha256 over the spec and the generator's version: equal digests mean equal bytes.

    Of a trained model: equal up to what frameworks and processors round differently.
    """
    identity = {"generator": GENERATOR_VERSION, "spec": canonical_identity(spec)}
    if spec.train_steps:
        identity["trainer"] = TRAINER_VERSION
    return hashlib.sha256(json.dumps(identity, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def describe(spec: CanonicalSpec) -> ModelCard:
    """The card of the network that ``generate`` makes from ``spec``.

    Raises:
        InvalidModel: Its weights would not fit into one ONNX file.
    """
    cost = cost_of(spec)
    if cost.weight_bytes > MAX_WEIGHT_BYTES:
        message = f"its weights take {cost.weight_bytes} bytes; one ONNX file holds at most {MAX_WEIGHT_BYTES}"
        problem = Problem(path="model.generate", message=message)
        raise InvalidModel(f"{spec.family} cannot be generated: {message}", problems=[problem])
    return ModelCard(
        task="benchmark",
        description=_description(spec),
        source=f"InferBench canonical generator, version {GENERATOR_VERSION}",
        inputs=(TensorCard(name=INPUT, datatype="FP32", shape=(-1, *input_shape(spec))),),
        outputs=(TensorCard(name=OUTPUT, datatype="FP32", shape=(-1, CLASSES)),),
        opset=OPSET,
        parameters=cost.parameters,
        weight_bytes=cost.weight_bytes,
        flops_per_sample=cost.flops_per_sample,
        activation_bytes_per_sample=cost.activation_bytes_per_sample,
    )


def _description(spec: CanonicalSpec) -> str:
    told = spec.model_dump(exclude={"family", "train_steps"})
    parameters = ", ".join(f"{name} {value}" for name, value in told.items())
    trained = f", trained for {spec.train_steps} steps" if spec.train_steps else ""
    return f"canonical {spec.family}: {parameters}; random weights{trained}"
