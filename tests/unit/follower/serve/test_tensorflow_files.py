"""What TensorFlow Serving is started with: files and command line, written and read back."""

import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.serving import serve_request

from follower.serve.tensorflow.batching_file import BatchingParameters, parameters_of
from follower.serve.tensorflow.batching_file import parse as parse_batching
from follower.serve.tensorflow.command_line import ServerOptions, parse
from follower.serve.tensorflow.layout import lay_out
from follower.serve.tensorflow.platform import TfServingPlatform
from shared.errors import NotAvailable
from shared.jobs.spec import BatchingSpec, ServiceSpec

SPEC = ServiceSpec(
    platform="tfserving", threads=3, instances=2, batching=BatchingSpec(max_batch_size=8, max_delay_ms=2.5)
)


def test_batching_is_written_as_tensorflow_serving_reads_it() -> None:
    """Microseconds; a batch thread for each instance."""
    parameters = parameters_of(SPEC)
    assert parameters is not None
    assert parameters.text() == (
        "max_batch_size { value: 8 }\n"
        "batch_timeout_micros { value: 2500 }\n"
        "num_batch_threads { value: 2 }\n"
        "max_enqueued_batches { value: 1000000 }\n"
    )


def test_a_batch_of_one_is_no_batching() -> None:
    """TensorFlow Serving would refuse requests of two samples then."""
    assert parameters_of(ServiceSpec(platform="tfserving")) is None


@given(st.integers(2, 4096), st.integers(0, 10**7), st.integers(1, 256), st.integers(1, 10**6))
def test_batching_parameters_are_read_as_they_were_written(size: int, timeout: int, threads: int, queue: int) -> None:
    """Every field."""
    parameters = BatchingParameters(
        max_batch_size=size, batch_timeout_micros=timeout, num_batch_threads=threads, max_enqueued_batches=queue
    )
    assert parse_batching(parameters.text()) == parameters


@pytest.mark.parametrize("text", ["", "max_batch_size { value: 8 }", "max_batch_size: 8", "other { value: 1 }", "#"])
def test_other_batching_files_are_refused(text: str) -> None:
    """Nothing is guessed."""
    with pytest.raises(ValueError, match="batching parameters"):
        parse_batching(text)


def test_the_command_line_is_read_as_it_was_written(tmp_path: Path) -> None:
    """With and without batching."""
    options = ServerOptions(port=1, rest_api_port=2, model_name="m", model_base_path=tmp_path)
    assert parse(options.to_argv()) == options
    batching = ServerOptions(**{**vars(options), "batching_parameters_file": tmp_path / "b"})
    assert parse(batching.to_argv()) == batching
    assert parse([flag for flag in batching.to_argv() if "enable" not in flag]) == options


def test_the_server_gets_exactly_these_flags_and_files(tmp_path: Path) -> None:
    """All of them TensorFlow Serving's own; the model in the folder of its version."""
    model = tmp_path / "model"
    model.mkdir()
    workdir = tmp_path / "run"
    for _ in range(2):  # a work directory that was used before does no harm
        options = lay_out(serve_request(model, workdir, SPEC), workdir, ports=(8500, 8501))
    assert options.to_argv() == [
        "--port=8500",
        "--rest_api_port=8501",
        "--model_name=tiny",
        f"--model_base_path={workdir}/models",
        "--tensorflow_intra_op_parallelism=3",
        "--tensorflow_inter_op_parallelism=2",
        f"--batching_parameters_file={workdir}/batching.config",
        f"--monitoring_config_file={workdir}/monitoring.config",
        "--enable_batching=true",
    ]
    assert (workdir / "models" / "1").resolve() == model
    monitoring = (workdir / "monitoring.config").read_text()
    assert monitoring == 'prometheus_config { enable: true, path: "/monitoring/prometheus/metrics" }\n'


def launchers(monkeypatch: pytest.MonkeyPatch, *there: str) -> None:
    """A machine on which these can start anything."""
    found = "follower.serve.tensorflow.platform.available"
    monkeypatch.setattr(found, lambda names: tuple(name for name in names if name in there))


def test_without_the_program_nothing_is_offered_or_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And the message names what stands in."""
    launchers(monkeypatch, "process")
    platform = TfServingPlatform(path=str(tmp_path))
    assert platform.offer() is None
    with pytest.raises(NotAvailable, match="tfs-compat"):
        platform.start(serve_request(tmp_path, tmp_path / "run", SPEC))


def test_without_the_program_a_container_is_still_offered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether there is an image is asked elsewhere, where the operator's settings are known."""
    launchers(monkeypatch, "process", "docker")
    offer = TfServingPlatform(path=str(tmp_path)).offer()
    assert offer is not None
    assert (offer.version, offer.launch, offer.protocol) == ("container", ("docker",), ("http", "grpc"))


def test_a_program_that_tells_no_version_is_not_offered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is something else of this name, or broken."""
    launchers(monkeypatch, "process")
    program = tmp_path / "tensorflow_model_server"
    program.write_text(f"#!{sys.executable}\nraise SystemExit(3)\n")
    program.chmod(0o755)
    assert TfServingPlatform(path=str(tmp_path)).offer() is None
