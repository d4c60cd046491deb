"""Trained networks, the built-in datasets and the pipeline together give right answers in the real runtime."""

from collections.abc import Iterator

import numpy as np
import onnxruntime as ort  # type: ignore[import-untyped]
import pytest

from follower.generate.datasets.builtin import load_builtin
from follower.pipeline.chain import build_postprocess, build_preprocess
from follower.pipeline.protocol import Answer
from model_repo.packaged import load
from shared.jobs.pipeline import PipelineSpec


def answers(model: str, dataset: str, *, batch_size: int = 1) -> Iterator[tuple[str, Answer]]:
    """Label and answer of every sample, with the pre- and post-processing that the model's card recommends."""
    path, card = load(model)
    spec = PipelineSpec(preprocess=card.preprocess, postprocess=card.postprocess)
    preprocess, postprocess = build_preprocess(spec), build_postprocess(spec, card.labels)
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    samples = load_builtin(dataset).samples
    for start in range(0, len(samples), batch_size):
        batch = samples[start : start + batch_size]
        tensor = np.stack([preprocess(sample.data) for sample in batch])
        (outputs,) = session.run([card.outputs[0].name], {card.inputs[0].name: tensor})
        for sample, output in zip(batch, outputs, strict=True):
            answer = postprocess(output)
            assert answer is not None
            assert sample.label is not None
            yield sample.label, answer


def edits(read: str, text: str) -> int:
    """Levenshtein distance: insertions, deletions and replacements from one text to the other."""
    row = list(range(len(text) + 1))
    for count, letter in enumerate(read, 1):
        previous, row[0] = row[0], count
        for index, wanted in enumerate(text, 1):
            previous, row[index] = row[index], min(row[index] + 1, row[index - 1] + 1, previous + (letter != wanted))
    return row[-1]


@pytest.mark.parametrize("batch_size", [1, 8])
def test_the_recogniser_reads_the_text_lines(batch_size: int) -> None:
    """Three lines of four exactly (what fails are word spaces) and 97 of 100 characters at least, alone and batched."""
    pairs = list(answers("ppocr-rec", "text-lines", batch_size=batch_size))
    exact = sum(answer.label == text for text, answer in pairs) / len(pairs)
    wrong = sum(edits(answer.label, text) for text, answer in pairs) / sum(len(text) for text, _ in pairs)
    assert exact >= 0.75
    assert wrong <= 0.03
    assert all(0.5 < answer.confidence <= 1 for _, answer in pairs)


def test_the_classifier_tells_upright_from_upside_down() -> None:
    """At least nine of ten; always guessing one direction would give five."""
    pairs = list(answers("ppocr-cls", "text-directions"))
    assert sum(answer.label == label for label, answer in pairs) / len(pairs) >= 0.9


def test_lines_upside_down_are_not_read_by_luck() -> None:
    """The same recogniser fails on turned lines: the accuracy above comes from the pictures."""
    turned = load_builtin("text-directions").samples
    upright = {sample.name: sample.label for sample in load_builtin("text-lines").samples}
    read = [answer.label for _, answer in answers("ppocr-rec", "text-directions")]
    hits = [text == upright[sample.name] for text, sample in zip(read, turned, strict=True) if sample.label == "180"]
    assert sum(hits) / len(hits) < 0.2


@pytest.mark.parametrize("batch_size", [1, 8])
def test_the_classifier_of_messages_tells_what_they_are_about(batch_size: int) -> None:
    """Four of five, alone and batched, and it is not surer of itself than it is right by much."""
    pairs = list(answers("messages-cls", "short-messages", batch_size=batch_size))
    right = sum(answer.label == label for label, answer in pairs) / len(pairs)
    assert 0.8 <= right < 1
    assert abs(sum(answer.confidence for _, answer in pairs) / len(pairs) - right) < 0.15
