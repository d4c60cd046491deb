"""How far a converted model's answers are from its source's."""

import numpy as np
import numpy.typing as npt
import pytest

from follower.convert.check import output_check
from follower.convert.samples import CALIBRATION_SAMPLES, Samples, fitting_dataset, samples_for
from model_repo.cards import ModelCard, TensorCard
from model_repo.packaged.table import PACKAGED
from shared.errors import InvalidModel, NotFound

X = TensorCard(name="x", datatype="FP32", shape=(-1, 4))


def labelled(*labels: str | None) -> Samples:
    """Samples whose answer is the index of the largest value; as many calibrate before them."""
    spare = [None] * CALIBRATION_SAMPLES
    return Samples(
        name="test",
        inputs=[{}] * (len(spare) + len(labels)),
        labels=[*spare, *labels],
        answer=lambda row: f"{row.argmax()}",
    )


def row(*values: float) -> list[npt.NDArray[np.float32]]:
    """One sample's only output, a batch of one."""
    return [np.array([values], np.float32)]


def test_errors_are_the_largest_over_all_samples() -> None:
    """Relative to the source's largest value of all, so that small outputs do not blow it up."""
    check = output_check(labelled(None, None), [row(1, -4), row(2, 0)], [row(1, -4.5), row(2.25, 0)])
    assert (check.samples, check.max_abs_error, check.max_rel_error) == (2, 0.5, 0.125)
    assert check.accuracy_before is check.accuracy_after is None


def test_accuracy_is_counted_on_both_sides_where_every_sample_has_a_label() -> None:
    """The second sample changes its answer to the wrong one."""
    check = output_check(labelled("0", "1"), [row(1, 0), row(0, 1)], [row(1, 0), row(1, 0.9)])
    assert (check.accuracy_before, check.accuracy_after) == (1.0, 0.5)


def test_outputs_of_zeros_have_no_relative_error() -> None:
    """Nothing is divided by nothing."""
    assert output_check(labelled(None), [row(0, 0)], [row(0, 0)]).max_rel_error == 0


def test_a_model_that_answers_with_no_number_is_refused() -> None:
    """16-bit floats overflow at 65,504."""
    with pytest.raises(InvalidModel, match="not finite"):
        output_check(labelled(None), [row(1, 2)], [row(1, np.inf)])


def test_a_model_that_answers_in_another_shape_is_refused() -> None:
    """Both shapes are named."""
    with pytest.raises(InvalidModel, match=r"has shape \[1, 3\]; the source gives \[1, 2\]"):
        output_check(labelled(None), [row(1, 2)], [row(1, 2, 3)])


def test_packaged_models_are_compared_on_the_datasets_made_for_them() -> None:
    """By what their cards say of pipeline and labels."""
    rec, cls, messages = PACKAGED["ppocr-rec"], PACKAGED["ppocr-cls"], PACKAGED["messages-cls"]
    assert fitting_dataset(ModelCard(preprocess=rec.preprocess, postprocess=rec.postprocess)) == "text-lines"
    assert fitting_dataset(ModelCard(preprocess=cls.preprocess, labels=cls.labels)) == "text-directions"
    assert fitting_dataset(ModelCard(preprocess=messages.preprocess, labels=messages.labels)) == "short-messages"
    assert fitting_dataset(ModelCard(inputs=(X,))) == "synthetic"


def test_synthetic_samples_are_the_same_every_time_and_fit_the_inputs() -> None:
    """A free batch is one sample."""
    card = ModelCard(inputs=(X, TensorCard(name="i", datatype="INT64", shape=(2,))))
    first, second = samples_for(card, None), samples_for(card, "synthetic")
    assert [each["x"].shape for each in first.checked] == [(1, 4)] * len(first.checked)
    assert all(np.array_equal(one["x"], two["x"]) for one, two in zip(first.inputs, second.inputs, strict=True))
    assert {each["i"].dtype for each in first.inputs} == {np.dtype(np.int64)}
    assert len(first.calibration) == CALIBRATION_SAMPLES


def test_a_dataset_that_cannot_be_fed_to_the_model_is_refused() -> None:
    """Its pictures need ops that the card does not name; a dataset that does not exist is named with those that do."""
    with pytest.raises(InvalidModel, match="card says how to preprocess; use synthetic"):
        samples_for(ModelCard(inputs=(X,)), "text-lines")
    card = ModelCard(inputs=(X,), preprocess=PACKAGED["ppocr-cls"].preprocess)
    with pytest.raises(NotFound, match="text-directions"):
        samples_for(card, "nothing")


def test_text_has_no_synthetic_values() -> None:
    """Nobody knows what to write."""
    with pytest.raises(InvalidModel, match="name a dataset"):
        samples_for(ModelCard(inputs=(TensorCard(name="t", datatype="BYTES", shape=(1,)),)), None)
