"""What may be spoken with an endpoint: how it says what it takes, and how a first inference of it is had.

Both may raise NoAnswer, Unreachable, RefusedByServer or MalformedAnswer: the service asks again where that can help.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt

from follower.load.ask import ask
from follower.load.dialects import DIALECTS, target_of
from follower.load.encode import InputTensor
from follower.load.template_http import ANSWER, SAMPLE
from follower.serve.endpoint.metadata import grpc_metadata
from follower.serve.endpoint.tensorflow_metadata import grpc_signature
from follower.serve.first_inference import infer_zeros, zeros_inferred
from follower.serve.openinference.client import OpenInferenceClient
from follower.serve.openinference.tensors import DTYPES, ModelMetadata, TensorInfo
from follower.serve.protocol import DialectName, Endpoint, ServeRequest
from follower.serve.tensorflow.rest_client import RestClient
from shared.errors import AttemptFailed
from shared.jobs.endpoint_api import TemplateApi, TensorFlowApi
from shared.jobs.lifecycle import Cause

_NS_PER_S: Final = 1_000_000_000

Shapes = Mapping[str, Sequence[int]]


class Api(Protocol):
    """One way to talk with what already runs."""

    @property
    def dialect(self) -> DialectName:
        """What the load speaks."""
        ...

    @property
    def template(self) -> TemplateApi | None:
        """Of what its requests are made, where the job says."""
        ...

    def describe(self, endpoint: Endpoint, timeout_s: float) -> ModelMetadata:
        """What the model takes and gives."""
        ...

    def infer(self, endpoint: Endpoint, model: ModelMetadata, timeout_s: float) -> None:
        """Has one inference answered, and looks at the answer."""
        ...


def api_of(request: ServeRequest) -> Api:
    """What the job's ``service.endpoint`` asks for; Open Inference Protocol where it has none."""
    asked, is_grpc = request.service.endpoint, request.service.protocol == "grpc"
    if isinstance(asked, TemplateApi):
        return _Template(asked, request.model_name, request.example)
    if isinstance(asked, TensorFlowApi):
        return _TensorFlow("tensorflow-grpc" if is_grpc else "tensorflow-rest", request.example_shapes)
    return _OpenInference("openinference-grpc" if is_grpc else "openinference-http", request.example_shapes)


@dataclass(frozen=True)
class _OpenInference:
    dialect: DialectName
    hints: Shapes
    template: TemplateApi | None = None

    def describe(self, endpoint: Endpoint, timeout_s: float) -> ModelMetadata:
        if self.dialect == "openinference-grpc":
            return grpc_metadata(target_of(endpoint), round(timeout_s * _NS_PER_S))
        return OpenInferenceClient.of(endpoint).metadata(timeout_s)

    def infer(self, endpoint: Endpoint, model: ModelMetadata, timeout_s: float) -> None:
        infer_zeros(endpoint, model, timeout_s, self.hints)


@dataclass(frozen=True)
class _TensorFlow:
    dialect: DialectName
    hints: Shapes
    template: TemplateApi | None = None

    def describe(self, endpoint: Endpoint, timeout_s: float) -> ModelMetadata:
        if self.dialect == "tensorflow-grpc":
            return grpc_signature(target_of(endpoint), round(timeout_s * _NS_PER_S))
        return RestClient.of(endpoint).metadata(timeout_s)

    def infer(self, endpoint: Endpoint, model: ModelMetadata, timeout_s: float) -> None:
        zeros_inferred(endpoint, model.inputs, timeout_s, self.hints)


@dataclass(frozen=True)
class _Template:
    template: TemplateApi
    model_name: str
    example: npt.NDArray[Any] | None  # None: synthetic tensors
    dialect: DialectName = "template-http"

    def describe(self, endpoint: Endpoint, timeout_s: float) -> ModelMetadata:  # noqa: ARG002 - nobody is asked
        """What the template itself says: one sample in a request, its answer at the pointer."""
        datatype = "FP32" if self.template.sample == "json" else "UINT8"
        shape = (1, *(self.template.shape or (-1,)))
        return ModelMetadata(
            name=self.model_name,
            inputs=(TensorInfo(name=SAMPLE, datatype=datatype, shape=shape),),
            outputs=(TensorInfo(name=ANSWER, datatype="FP64", shape=(1, -1)),),
        )

    def infer(self, endpoint: Endpoint, model: ModelMetadata, timeout_s: float) -> None:
        """Of the dataset's first sample, or of zeros in the shape of the synthetic ones.

        Raises:
            AttemptFailed: PIPELINE_FAILED where that sample cannot be sent.
        """
        (tensor,) = model.inputs
        zeros = np.zeros((1, *(self.template.shape or ())), DTYPES[tensor.datatype])
        sample = InputTensor(
            name=SAMPLE, datatype=tensor.datatype, array=zeros if self.example is None else self.example
        )
        target, dialect = target_of(endpoint), DIALECTS[self.dialect]
        try:
            request = dialect.encode(target, [sample])
        except (TypeError, ValueError) as error:
            detail = f"the first sample cannot be put into service.endpoint.body: {error}"
            raise AttemptFailed(Cause.PIPELINE_FAILED, detail) from error
        dialect.decode(ask(target, request, round(timeout_s * _NS_PER_S)))
