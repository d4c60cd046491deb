"""The model configuration that Triton is given: what ONNX file and job say, in Triton's words."""

from pathlib import Path

import pytest

from follower.serve.triton.config import model_config, native_back_end, python_back_end
from model_repo.onnx_facts import OnnxFacts, TensorFacts
from shared.errors import AttemptFailed
from shared.jobs.lifecycle import Cause
from shared.jobs.spec import BatchingSpec, ServiceSpec

IMAGE = TensorFacts("image", "FP32", (-1, 3, -1, -1))
SCORES = TensorFacts("scores", "FP16", (-1, 10))


def facts(*, inputs: tuple[TensorFacts, ...] = (IMAGE,), outputs: tuple[TensorFacts, ...] = (SCORES,)) -> OnnxFacts:
    """Of a model with these inputs and outputs."""
    return OnnxFacts(
        inputs=inputs,
        outputs=outputs,
        ir_version=8,
        opset=17,
        domains=("ai.onnx",),
        node_count=1,
        weight_bytes=0,
        parameters=0,
    )


def config(given: OnnxFacts | None = None, *, cores: int = 1, **service: object) -> str:
    """The configuration of a service in the Python back end."""
    spec = ServiceSpec.model_validate({"platform": "triton", **service})
    back_end = python_back_end(Path("/m/model.onnx"), Path("/scratch"), spec, cores=cores)
    return model_config("tiny", given or facts(), spec, back_end)


def native(given: OnnxFacts | None = None, **service: object) -> str:
    """The same in ONNX Runtime's own back end."""
    spec = ServiceSpec.model_validate({"platform": "triton", **service})
    return model_config("tiny", given or facts(), spec, native_back_end(spec))


def test_without_batching_the_tensors_are_the_model_s_own() -> None:
    """The first dimension is not Triton's, so that a request of any size is executed as it is."""
    text = config()
    assert "max_batch_size: 0\n" in text
    assert 'input [ { name: "image" data_type: TYPE_FP32 dims: [ -1, 3, -1, -1 ] } ]' in text
    assert 'output [ { name: "scores" data_type: TYPE_FP16 dims: [ -1, 10 ] } ]' in text
    assert "dynamic_batching" not in text


def test_batching_takes_the_first_dimension_off_and_names_the_delay() -> None:
    """In whole microseconds."""
    text = config(batching=BatchingSpec(max_batch_size=8, max_delay_ms=2.5))
    assert "max_batch_size: 8\n" in text
    assert "dims: [ 3, -1, -1 ]" in text
    assert "dims: [ 10 ]" in text
    assert "dynamic_batching { max_queue_delay_microseconds: 2500 }" in text


def test_a_tensor_that_is_only_a_batch_is_reshaped() -> None:
    """Triton has no tensors without a dimension beside the batch."""
    text = config(facts(outputs=(TensorFacts("label", "INT64", (-1,)),)), batching=BatchingSpec(max_batch_size=4))
    assert 'name: "label" data_type: TYPE_INT64 dims: [ 1 ] reshape { shape: [ ] }' in text


def test_instances_and_threads_are_those_of_the_job() -> None:
    """The model program reads its part from the parameters."""
    text = config(instances=3, threads=2)
    assert "instance_group [ { kind: KIND_CPU count: 3 } ]" in text
    assert 'parameters { key: "threads" value { string_value: "2" } }' in text
    assert 'parameters { key: "model" value { string_value: "/m/model.onnx" } }' in text
    assert 'parameters { key: "reports" value { string_value: "/scratch" } }' in text


def test_the_native_back_end_is_told_in_its_own_words() -> None:
    """Threads and sequential execution; tensors, instances and batching are Triton's and stand there as ever."""
    text = native(instances=3, threads=2, batching=BatchingSpec(max_batch_size=8, max_delay_ms=2.5))
    assert 'backend: "onnxruntime"\n' in text
    assert 'parameters { key: "intra_op_thread_count" value { string_value: "2" } }' in text
    assert 'parameters { key: "inter_op_thread_count" value { string_value: "1" } }' in text
    assert 'parameters { key: "execution_mode" value { string_value: "0" } }' in text
    assert text.count("parameters {") == 3
    assert "max_batch_size: 8\n" in text
    assert 'input [ { name: "image" data_type: TYPE_FP32 dims: [ 3, -1, -1 ] } ]' in text
    assert "instance_group [ { kind: KIND_CPU count: 3 } ]" in text
    assert "dynamic_batching { max_queue_delay_microseconds: 2500 }" in text


@pytest.mark.parametrize(("cores", "threads", "spin"), [(4, 2, "1"), (2, 2, "0"), (4, 1, "0")])
def test_idle_threads_spin_only_where_a_core_is_left_over(cores: int, threads: int, spin: str) -> None:
    """As in our own server."""
    assert f'parameters {{ key: "spin" value {{ string_value: "{spin}" }} }}' in config(cores=cores, threads=threads)


def test_names_are_quoted() -> None:
    """A tensor's name is the model author's."""
    text = config(facts(inputs=(TensorFacts('a"} b\n', "FP32", (-1, 2)),)))
    assert r'name: "a\"} b\n" data_type' in text


def test_a_fixed_batch_cannot_be_batched() -> None:
    """It says which shapes the model has."""
    with pytest.raises(AttemptFailed, match=r"'image': \[1, 3\]") as caught:
        config(facts(inputs=(TensorFacts("image", "FP32", (1, 3)),)), batching=BatchingSpec(max_batch_size=2))
    assert caught.value.cause is Cause.MODEL_LOAD_FAILED


def test_strings_cannot_be_served() -> None:
    """DLPack carries none."""
    with pytest.raises(AttemptFailed, match="BYTES") as caught:
        config(facts(inputs=(TensorFacts("text", "BYTES", (-1, 1)),)))
    assert caught.value.cause is Cause.MODEL_LOAD_FAILED
