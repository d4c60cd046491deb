"""PredictionService and ModelService, with the serving API's own stubs."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Final

import grpc  # type: ignore[import-untyped]
import tensorflow as tf  # type: ignore[import-untyped]
from tensorflow.core.protobuf import meta_graph_pb2  # type: ignore[import-untyped]
from tensorflow_serving.apis import (  # type: ignore[import-not-found]
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from follower.serve.openinference.tensors import ModelMetadata, TensorInfo
from follower.serve.tensorflow.datatypes import NUMBER_OF, SIGNATURE
from follower.serve.tensorflow.server.json_tensors import require_signature
from follower.serve.tensorflow.server.refusal import Refused
from follower.serve.tensorflow.server.serving import Serving

_LOADING: Final = 20
_AVAILABLE: Final = 30
_PREDICT_METHOD: Final = "tensorflow/serving/predict"
_UNLIMITED: Final = -1


def start(serving: Serving, host: str, port: int, threads: int) -> tuple[Any, int]:
    """A started server, and the port that it listens on.

    Raises:
        OSError: it cannot listen there.
    """
    options = [
        ("grpc.so_reuseport", 0),
        ("grpc.max_receive_message_length", _UNLIMITED),
        ("grpc.max_send_message_length", _UNLIMITED),
    ]
    server = grpc.server(ThreadPoolExecutor(threads, thread_name_prefix="grpc"), options=options)
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(_Prediction(serving), server)
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(_Models(serving), server)
    try:
        bound = server.add_insecure_port(f"{host}:{port}")
    except RuntimeError as error:
        raise OSError(f"cannot listen on {host}:{port}: {error}") from error
    server.start()
    return server, bound


class _Prediction(prediction_service_pb2_grpc.PredictionServiceServicer):  # type: ignore[misc]
    """Predict and GetModelMetadata; the other calls answer UNIMPLEMENTED."""

    def __init__(self, serving: Serving) -> None:
        self._serving = serving

    def Predict(self, request: Any, context: Any) -> Any:  # noqa: N802 - the service's name for it
        with _refusing(context):
            spec = request.model_spec
            require_signature(spec.signature_name)
            predicted = self._serving.predict(
                spec.name,
                _version(spec),
                lambda _model: {name: _array(name, tensor) for name, tensor in request.inputs.items()},
            )
            wanted = list(request.output_filter) or list(predicted.outputs)
            if missing := set(wanted) - predicted.outputs.keys():
                raise Refused("INVALID_ARGUMENT", f"no output {sorted(missing)}; there are {list(predicted.outputs)}")
            response = predict_pb2.PredictResponse()
            _name(response.model_spec, self._serving)
            for name in wanted:
                response.outputs[name].CopyFrom(tf.make_tensor_proto(predicted.outputs[name]))
            context.set_trailing_metadata(
                (
                    ("inferbench-queue-ns", str(predicted.queue_ns)),
                    ("inferbench-inference-ns", str(predicted.inference_ns)),
                    ("inferbench-batch-size", str(predicted.batch_size)),
                )
            )
            return response

    def GetModelMetadata(self, request: Any, context: Any) -> Any:  # noqa: N802 - the service's name for it
        with _refusing(context):
            model = self._serving.model(request.model_spec.name, _version(request.model_spec))
            response = get_model_metadata_pb2.GetModelMetadataResponse()
            _name(response.model_spec, self._serving)
            signatures = get_model_metadata_pb2.SignatureDefMap()
            signatures.signature_def[SIGNATURE].CopyFrom(_signature(model.metadata))
            response.metadata["signature_def"].Pack(signatures)
            return response


class _Models(model_service_pb2_grpc.ModelServiceServicer):  # type: ignore[misc]
    """GetModelStatus; there is nothing to reload."""

    def __init__(self, serving: Serving) -> None:
        self._serving = serving

    def GetModelStatus(self, request: Any, context: Any) -> Any:  # noqa: N802 - the service's name for it
        with _refusing(context):
            self._serving.knows(request.model_spec.name, _version(request.model_spec))
            response = get_model_status_pb2.GetModelStatusResponse()
            state = _AVAILABLE if self._serving.loaded else _LOADING
            response.model_version_status.add(version=self._serving.version, state=state)
            return response


@contextmanager
def _refusing(context: Any) -> Iterator[Callable[[], None]]:
    """What is refused ends the call with its code and words."""
    try:
        yield context.abort
    except Refused as refused:
        context.abort(grpc.StatusCode[refused.code], refused.message)


def _array(name: str, tensor: Any) -> Any:
    try:
        return tf.make_ndarray(tensor)
    except (ValueError, TypeError) as error:
        raise Refused("INVALID_ARGUMENT", f"input {name!r} is no tensor: {error}") from error


def _version(spec: Any) -> int | None:
    return int(spec.version.value) if spec.HasField("version") else None


def _name(spec: Any, serving: Serving) -> None:
    spec.name, spec.signature_name = serving.name, SIGNATURE
    spec.version.value = serving.version


def _signature(model: ModelMetadata) -> Any:
    signature = meta_graph_pb2.SignatureDef(method_name=_PREDICT_METHOD)
    for tensors, entries in ((model.inputs, signature.inputs), (model.outputs, signature.outputs)):
        for tensor in tensors:
            _describe(tensor, entries[tensor.name])
    return signature


def _describe(tensor: TensorInfo, entry: Any) -> None:
    entry.name, entry.dtype = tensor.name, NUMBER_OF[tensor.datatype]
    for size in tensor.shape:
        entry.tensor_shape.dim.add(size=size)
