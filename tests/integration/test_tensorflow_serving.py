"""The stand-in for TensorFlow Serving, run for real: what it says over both interfaces, how it batches and fails."""

import http.client
import json
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.asking import RefusedToAnswer, ask
from support.codec_client import codec_client
from support.engines import require_engine
from support.saved_models import run_with_tensorflow, saved_model
from support.serving import READY_NS, ready, serve_request, started

from follower.engines.folder import environment_of
from follower.load.dialects import DIALECTS, target_of
from follower.load.encode import InputTensor
from follower.serve.platforms import PLATFORMS
from follower.serve.protocol import Endpoint, Service
from follower.serve.tensorflow.command_line import ServerOptions
from follower.serve.tensorflow.compat import SERVER_MODULE
from shared.errors import AttemptFailed
from shared.jobs.lifecycle import Cause
from shared.jobs.spec import BatchingSpec, ServiceSpec

PLATFORM = PLATFORMS["tfs-compat"]
MAX_BATCH = 8
BATCHED = BatchingSpec(max_batch_size=MAX_BATCH, max_delay_ms=20)


@pytest.fixture(scope="module", autouse=True)
def _engine() -> None:
    require_engine("tensorflow")


def spec(batching: BatchingSpec | None = None, protocol: str = "grpc") -> ServiceSpec:
    """Of the stand-in."""
    return ServiceSpec.model_validate(
        {"platform": "tfs-compat", "protocol": protocol, "batching": batching or BatchingSpec()}
    )


@pytest.fixture(scope="module")
def batched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The affine model behind the batch scheduler."""
    folder = tmp_path_factory.mktemp("batched")
    with ready(PLATFORM, serve_request(saved_model("affine", folder), folder / "run", spec(BATCHED))) as service:
        yield service


def rest_of(service: Service) -> Endpoint:
    """The same server's other port, as its status file tells it."""
    events = (service.log_path.parent / "status.jsonl").read_text().splitlines()
    endpoint = service.endpoint
    port = json.loads(events[0])["port"]
    return Endpoint(host=endpoint.host, port=port, model_name=endpoint.model_name, dialect="tensorflow-rest")


def get(endpoint: Endpoint, path: str) -> tuple[int, Any]:
    """Status and document."""
    connection = http.client.HTTPConnection(endpoint.host, endpoint.port, timeout=10)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


def test_both_interfaces_answer_alike(batched: Service) -> None:
    """As the model's formula says."""
    x = np.arange(12, dtype=np.float32).reshape(3, 4)
    for endpoint in (batched.endpoint, rest_of(batched)):
        answer = ask(endpoint, x=x)
        np.testing.assert_array_equal(answer["y"], 2 * x + 1)
        np.testing.assert_array_equal(answer["z"], x.sum(axis=1))


def test_requests_of_many_clients_are_executed_together(batched: Service) -> None:
    """Each gets its own rows; the server's counters and each answer's batch size show that there were batches."""
    before = batched.statistics()
    wrong: list[int] = []

    def client(number: int) -> None:
        for repeat in range(10):
            x = np.full((1, 4), 100 * number + repeat, np.float32)
            if not np.array_equal(ask(batched.endpoint, x=x)["y"], 2 * x + 1):
                wrong.append(number)

    clients = [threading.Thread(target=client, args=(number,)) for number in range(MAX_BATCH)]
    for thread in clients:
        thread.start()
    for thread in clients:
        thread.join()
    after = batched.statistics()
    assert before is not None
    assert after is not None
    assert wrong == []
    assert after.inferences - before.inferences == 10 * MAX_BATCH
    assert after.executions - before.executions < 10 * MAX_BATCH / 1.5
    assert sum(size * count for size, count in after.batches.items()) == after.inferences
    assert sum(after.batches.values()) == after.executions
    assert max(after.batches) <= MAX_BATCH


def test_a_lone_request_waits_as_long_as_the_batch_may(batched: Service) -> None:
    """The wait is its queue time, not its inference; both come with the answer, over both interfaces."""
    x = InputTensor(name="x", datatype="FP32", array=np.zeros((1, 4), np.float32))
    for endpoint in (batched.endpoint, rest_of(batched)):
        target, dialect = target_of(endpoint), DIALECTS[endpoint.dialect]
        with codec_client(target) as client:
            answer = client.ask(dialect.encode(target, [x]))
        queue_ns, inference_ns = answer.number(b"inferbench-queue-ns"), answer.number(b"inferbench-inference-ns")
        assert queue_ns is not None
        assert inference_ns is not None
        assert queue_ns >= 19_000_000
        assert inference_ns > 0
        assert answer.number(b"inferbench-batch-size") == 1


@pytest.mark.parametrize(
    ("x", "words"),
    [(np.zeros((1, 3), np.float32), "has shape"), (np.zeros((MAX_BATCH + 1, 4), np.float32), "maximum batch size 8")],
)
def test_what_the_model_cannot_take_is_refused_in_words(batched: Service, x: Any, words: str) -> None:
    """A wrong shape, and a request larger than a batch may be: INVALID_ARGUMENT, or 400."""
    with pytest.raises(RefusedToAnswer, match=f"grpc-status 3: .*{words}"):
        ask(batched.endpoint, x=x)
    with pytest.raises(RefusedToAnswer, match=f"status 400: .*{words}"):
        ask(rest_of(batched), x=x)


def test_another_type_or_elements_that_do_not_fill_the_shape_are_refused(batched: Service) -> None:
    """Nothing is cast or made up."""
    with pytest.raises(RefusedToAnswer, match=r"grpc-status 3: .*is of type float32, the request sends int64"):
        ask(batched.endpoint, x=np.zeros((1, 4), np.int64))
    dialect, target = DIALECTS["tensorflow-grpc"], target_of(batched.endpoint)
    x = InputTensor(name="x", datatype="FP32", array=np.ones((2, 4), np.float32))
    request = dialect.encode(target, [x])
    wrong_shape = request.replace(b"\x12\x02\x08\x02\x12\x02\x08\x04", b"\x12\x02\x08\x02\x12\x02\x08\x05")
    assert wrong_shape != request
    with codec_client(target) as client:
        answer = client.ask(wrong_shape)
    assert answer.explanation.startswith("grpc-status 3: input 'x' is no tensor")


def test_an_unknown_input_model_or_path_is_refused(batched: Service) -> None:
    """With what there is."""
    with pytest.raises(RefusedToAnswer, match=r"takes inputs \['x'\], the request has \['q'\]"):
        ask(batched.endpoint, q=np.zeros((1, 4), np.float32))
    stranger = Endpoint(host="127.0.0.1", port=batched.endpoint.port, model_name="other", dialect="tensorflow-grpc")
    with pytest.raises(RefusedToAnswer, match=r"grpc-status 5: Servable not found"):
        ask(stranger, x=np.zeros((1, 4), np.float32))
    assert get(rest_of(batched), "/v1/models/other")[0] == 404
    assert get(rest_of(batched), "/v2/health/ready")[0] == 404


def test_status_and_metadata_are_served_as_documented(batched: Service) -> None:
    """In the documents' own words."""
    status, document = get(rest_of(batched), "/v1/models/tiny/versions/1")
    assert status == 200
    assert document["model_version_status"][0]["state"] == "AVAILABLE"
    _, metadata = get(rest_of(batched), "/v1/models/tiny/metadata")
    signature = metadata["metadata"]["signature_def"]["signature_def"]["serving_default"]
    assert signature["inputs"]["x"]["dtype"] == "DT_FLOAT"
    assert [dim["size"] for dim in signature["inputs"]["x"]["tensor_shape"]["dim"]] == ["-1", "4"]


def test_facts_never_call_it_tensorflow_serving(batched: Service) -> None:
    """The engine is the stand-in, in TensorFlow's version."""
    facts = batched.facts()
    assert facts["engine"] == "tfs-compat"
    assert facts["version"] == "2.21.0"
    assert "batch function" in facts["batch_scheduler"]


_STUBS = """
import json, sys
import grpc
import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import get_model_metadata_pb2, get_model_status_pb2, model_service_pb2_grpc
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

port, ours = sys.argv[1], bytes.fromhex(sys.argv[2])
request = predict_pb2.PredictRequest.FromString(ours)
arrays = {name: tf.make_ndarray(tensor).tolist() for name, tensor in request.inputs.items()}
read = {"model": request.model_spec.name, "signature": request.model_spec.signature_name,
        "arrays": {name: [each.decode() if isinstance(each, bytes) else each for each in value]
                   for name, value in arrays.items()}}
answers = {}
for content in (True, False):
    response = predict_pb2.PredictResponse()
    for name, array in {"f": np.array([[0.5, -1]], np.float32), "h": np.array([1.5], np.float16),
                        "i": np.array([-7, 7], np.int8), "s": np.array([b"a", b""], object),
                        "b": np.array([True, False])}.items():
        proto = tf.make_tensor_proto(array)
        if content and name != "s":
            proto = type(proto)(dtype=proto.dtype, tensor_shape=proto.tensor_shape, tensor_content=array.tobytes())
        response.outputs[name].CopyFrom(proto)
    answers[content] = response.SerializeToString().hex()
channel = grpc.insecure_channel(f"127.0.0.1:{port}")
stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
asked = predict_pb2.PredictRequest()
asked.model_spec.name = "tiny"
asked.inputs["x"].CopyFrom(tf.make_tensor_proto(np.arange(4, dtype=np.float32)[None]))
theirs = {name: tf.make_ndarray(tensor).tolist() for name, tensor in stub.Predict(asked).outputs.items()}
meta = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
meta.model_spec.name = "tiny"
found = get_model_metadata_pb2.SignatureDefMap()
stub.GetModelMetadata(meta).metadata["signature_def"].Unpack(found)
state = get_model_status_pb2.GetModelStatusRequest()
state.model_spec.name = "tiny"
status = model_service_pb2_grpc.ModelServiceStub(channel).GetModelStatus(state).model_version_status[0]
print(json.dumps({"read": read, "answers": list(answers.values()), "theirs": theirs, "state": status.state,
                  "inputs": list(found.signature_def["serving_default"].inputs)}))
"""


def test_the_serving_apis_own_stubs_and_grpcio_agree_with_ours(batched: Service) -> None:
    """They read our requests, we read their responses, and the server answers both clients alike."""
    strings = np.array([b"a", "\u00fc"], dtype=object)
    ours = [
        InputTensor(name="x", datatype="FP32", array=np.array([[0.5, 2.0]])),
        InputTensor(name="n", datatype="INT64", array=np.array([-3, 1 << 40])),
        InputTensor(name="s", datatype="BYTES", array=strings),
    ]
    dialect = DIALECTS["tensorflow-grpc"]
    message = dialect.encode(target_of(batched.endpoint), ours)[5:]
    found = json.loads(run_with_tensorflow(_STUBS, str(batched.endpoint.port), message.hex()).splitlines()[-1])
    assert found["read"]["model"] == "tiny"
    assert found["read"]["signature"] == "serving_default"
    assert found["read"]["arrays"] == {"x": [[0.5, 2.0]], "n": [-3, 1 << 40], "s": ["a", "\u00fc"]}
    from follower.load.predict_message import decode_predict_message  # noqa: PLC0415 - beside what it is held against

    for answer in found["answers"]:
        read = {name: array.tolist() for name, array in decode_predict_message(bytes.fromhex(answer)).items()}
        assert read == {"f": [[0.5, -1.0]], "h": [1.5], "i": [-7, 7], "s": [b"a", b""], "b": [True, False]}
    x = np.arange(4, dtype=np.float32)[None]
    assert found["theirs"] == {name: array.tolist() for name, array in ask(batched.endpoint, x=x).items()}
    assert found["inputs"] == ["x"]
    assert found["state"] == 30  # AVAILABLE


def test_strings_and_the_model_s_own_errors_come_through(tmp_path: Path) -> None:
    """Binary strings both ways over REST, where the only output has no name."""
    with ready(
        PLATFORM, serve_request(saved_model("shouting", tmp_path), tmp_path / "run", spec(protocol="http"))
    ) as s:
        target, dialect = target_of(s.endpoint), DIALECTS[s.endpoint.dialect]
        text = InputTensor(name="text", datatype="BYTES", array=np.array([b"ab", b"\xff"], dtype=object))
        with codec_client(target) as client:
            answer = client.ask(dialect.encode(target, [text]))
            assert answer.status == 200
            assert dialect.decode(answer)[""].tolist() == [b"AB", b"\xff"]


@pytest.mark.parametrize(
    ("model", "batching", "words"),
    [
        ("elsewhere", None, "no signature 'serving_default'; its signatures: score"),
        ("fixed", BATCHED, "free first dimension"),
        ("corrupt", None, "TensorFlow refuses the SavedModel"),
    ],
)
def test_a_model_that_cannot_be_served_fails_with_the_reason(
    tmp_path: Path, model: str, batching: BatchingSpec | None, words: str
) -> None:
    """Not the signature, a fixed batch where batching is asked for, broken bytes."""
    path = saved_model("affine" if model == "corrupt" else model, tmp_path)
    if model == "corrupt":
        (path / "saved_model.pb").write_bytes(b"\x08\x01 this is no graph \xff")
    with started(PLATFORM, serve_request(path, tmp_path / "run", spec(batching))) as service:
        with pytest.raises(AttemptFailed) as caught:
            service.wait_ready(READY_NS)
        assert caught.value.cause is Cause.MODEL_LOAD_FAILED
        assert words in caught.value.detail


def test_a_server_that_dies_while_it_loads_is_reported_as_dead(tmp_path: Path) -> None:
    """Not as slow."""
    with started(PLATFORM, serve_request(saved_model("affine", tmp_path), tmp_path / "run", spec())) as service:
        for process in service.pids():
            subprocess.run(["kill", "-KILL", str(process)], check=True)
        with pytest.raises(AttemptFailed) as caught:
            service.wait_ready(READY_NS)
        assert caught.value.cause is Cause.SERVER_DIED


def test_a_port_in_use_ends_the_server_with_words(tmp_path: Path) -> None:
    """Before it imports anything large."""
    base = tmp_path / "models"
    (base / "1").mkdir(parents=True)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        options = ServerOptions(port=0, rest_api_port=port, model_name="m", model_base_path=base)
        argv = [sys.executable, "-P", "-m", SERVER_MODULE, *options.to_argv()]
        environment = environment_of("tensorflow")
        done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert f"cannot listen on 127.0.0.1:{port}" in done.stderr


def test_an_empty_model_folder_is_no_model(tmp_path: Path) -> None:
    """The folder of the version is there, and nothing in it."""
    empty = tmp_path / "empty"
    empty.mkdir()
    with started(PLATFORM, serve_request(empty, tmp_path / "run", spec())) as service:
        with pytest.raises(AttemptFailed) as caught:
            service.wait_ready(READY_NS)
        assert caught.value.cause is Cause.MODEL_LOAD_FAILED
    shutil.rmtree(empty)
