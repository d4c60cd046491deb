"""SavedModel to ONNX, by a process that has TensorFlow."""

from importlib.metadata import distributions
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from pydantic import BaseModel, ConfigDict

from follower.convert.check import Outputs
from follower.convert.engine_process import EngineProgram
from follower.convert.onnx_tools import Converted
from follower.convert.sample_files import read_outputs
from follower.convert.samples import Samples, samples_for
from follower.engines.folder import engine_dir
from model_repo.cards import ModelCard, TensorCard
from model_repo.savedmodel_tar import unpack

_EXPORT: Final = EngineProgram(
    engine="tensorflow",
    engine_name="TensorFlow",
    module="follower.convert.tensorflow_export",
    task="export this model",
    environment={"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"},
)


class TensorflowExport(BaseModel):
    """What the process is told. The last three files are written by it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: Path  # the SavedModel's folder
    card: dict[str, Any]
    dataset: str | None
    target: Path
    signature: Path
    answers: Path


class Signature(BaseModel):
    """What the SavedModel takes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    inputs: tuple[TensorCard, ...]


def export(
    archive: Path, target: Path, card: ModelCard, dataset: str | None
) -> tuple[Converted, Samples, list[Outputs]]:
    """Writes the ONNX file; also gives the samples that fit the signature, and the SavedModel's answers to them.

    Raises:
        NotAvailable: TensorFlow is not installed here.
        InvalidModel: no SavedModel, or one that cannot be exported, with the last words of what tried.
        NotFound: there is no such dataset.
    """
    version = _EXPORT.require()
    with TemporaryDirectory() as name:
        folder = Path(name)
        told, signature, answers = (folder / each for each in ("request.json", "signature.json", "answers.npz"))
        request = TensorflowExport(
            source=unpack(archive, folder),
            card=card.model_dump(mode="json"),
            dataset=dataset,
            target=target,
            signature=signature,
            answers=answers,
        )
        told.write_text(request.model_dump_json(), encoding="utf-8")
        _EXPORT.run([told], folder)
        inputs = Signature.model_validate_json(signature.read_bytes()).inputs
        exporter = next(each.version for each in distributions(name="tf2onnx", path=[str(engine_dir("tensorflow"))]))
        done = Converted(f"tensorflow {version}", {"exporter": f"tf2onnx {exporter}"})
        return done, samples_for(card.model_copy(update={"inputs": inputs}), dataset), read_outputs(answers)
