"""The program that Triton's Python back end runs, with the back end's own module played by the test."""

import importlib.util
import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from support import served_models

from follower.serve.triton import layout

Array = np.ndarray[Any, Any]


@dataclass
class Tensor:
    """A named array that is handed over by DLPack."""

    name: str
    array: Array

    @classmethod
    def from_dlpack(cls, name: str, capsule: Any) -> "Tensor":
        """Takes a capsule over, as the back end does."""
        holder = SimpleNamespace(__dlpack__=lambda **_: capsule, __dlpack_device__=lambda: (1, 0))
        return cls(name, np.array(np.from_dlpack(holder)))


@dataclass
class Answer:
    """An inference response."""

    output_tensors: list[Tensor] = field(default_factory=list)
    error: str | None = None


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module, loaded as the back end would."""
    back_end = ModuleType("triton_python_backend_utils")
    logger = SimpleNamespace(log_warn=lambda _message: None)
    back_end.__dict__.update(
        Tensor=Tensor,
        InferenceResponse=Answer,
        TritonError=str,
        Logger=logger,
        get_input_tensor_by_name=lambda request, name: request[name],
    )
    monkeypatch.setitem(sys.modules, "triton_python_backend_utils", back_end)
    spec = importlib.util.spec_from_file_location("onnx_model_under_test", layout._PROGRAM)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def initialized(program: ModuleType, model: Path, reports: Path, *, inputs: list[str], outputs: list[str]) -> Any:
    """A model that is ready to execute."""
    config = {
        "input": [{"name": name} for name in inputs],
        "output": [{"name": name} for name in outputs],
        "parameters": {
            "model": {"string_value": str(model)},
            "reports": {"string_value": str(reports)},
            "threads": {"string_value": "1"},
            "spin": {"string_value": "0"},
        },
    }
    made = program.TritonPythonModel()
    made.initialize(
        {
            "model_config": json.dumps(config),
            "model_repository": "/read-only",
            "model_instance_name": "tiny_0_0",
        }
    )
    return made


def test_requests_of_a_batch_get_their_own_rows(program: ModuleType, tmp_path: Path) -> None:
    """In order, whatever their sizes."""
    path = served_models.affine(tmp_path / "m.onnx")
    model = initialized(program, path, tmp_path, inputs=["x"], outputs=["y", "z"])
    batch = [np.full((size, 4), size, np.float32) for size in (1, 3, 2)]
    answers = model.execute([{"x": x} for x in batch])
    for x, answer in zip(batch, answers, strict=True):
        y, z = answer.output_tensors
        np.testing.assert_array_equal(y.array, 2 * x + 1)
        np.testing.assert_array_equal(z.array, x.sum(axis=1))


def test_a_request_that_makes_its_batch_fail_is_the_only_one_to_fail(program: ModuleType, tmp_path: Path) -> None:
    """The others are executed by themselves."""
    path = served_models.table_lookup(tmp_path / "m.onnx", rows=4)
    model = initialized(program, path, tmp_path, inputs=["i"], outputs=["y"])
    good, bad = model.execute([{"i": np.array([3])}, {"i": np.array([9])}])
    np.testing.assert_array_equal(good.output_tensors[0].array, [30.0])
    assert "9" in bad.error


def test_it_says_what_executes_and_how_many_samples(program: ModuleType, tmp_path: Path) -> None:
    """In the files that the follower reads, and nowhere else: the model repository may be read-only."""
    path = served_models.affine(tmp_path / "m.onnx")
    made = layout.Layout(workdir=tmp_path, model_name="tiny", shm_prefix="x")
    made.scratch.mkdir()
    model = initialized(program, path, made.scratch, inputs=["x"], outputs=["y", "z"])
    told = json.loads(made.engine.read_text())
    assert told["engine"] == "onnxruntime"
    assert told["providers"] == ["CPUExecutionProvider"]
    assert layout.samples_executed(made) == 0
    model.execute([{"x": np.zeros((3, 4), np.float32)}, {"x": np.zeros((2, 4), np.float32)}])
    model.execute([{"x": np.zeros((1, 4), np.float32)}])
    assert layout.samples_executed(made) == 6


def test_files_are_named_alike_on_both_sides(program: ModuleType) -> None:
    """The program imports nothing of the follower, so the names stand twice."""
    assert program.ENGINE_FILE == layout.ENGINE_FILE
    assert program.COUNTER_SUFFIX == layout.COUNTER_SUFFIX
