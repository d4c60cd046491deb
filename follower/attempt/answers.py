"""What the model answers to each sample, once, before any load: quality belongs to the model, not to the rush."""

import time
from collections.abc import Callable, Sequence
from typing import Final

from follower.generate.datasets.dataset import Sample
from follower.load.ask import NoAnswer, ask
from follower.load.encode import MalformedAnswer
from follower.load.protocol import Target
from follower.load.work import Work
from follower.pipeline.protocol import Answer as PipelineAnswer
from follower.pipeline.protocol import PipelineFailed
from shared.errors import AttemptFailed
from shared.jobs.endpoint_api import TemplateApi
from shared.jobs.lifecycle import Cause
from shared.jobs.pipeline import PipelineSpec
from shared.measure.record import Answer, Quality

MOST_CHECKED: Final = 2_000
LONGEST_NS: Final = 60_000_000_000
MOST_FAILURES_IN_A_ROW: Final = 3
MOST_SHOWN: Final = 200
"""Answers kept in the record; the share is over all that were checked."""


def metric_of(pipeline: PipelineSpec, template: TemplateApi | None = None) -> str | None:
    """How answers of this pipeline compare with labels; None where it ends in numbers.

    What a template's pointer leads to may be text, which is an answer without any op.
    """
    if template is not None and template.answer is not None and not pipeline.postprocess:
        return "exact-match"
    last = pipeline.postprocess[-1].op if pipeline.postprocess else None
    return {"ctc_decode": "exact-match", "top_k": "top-1"}.get(last or "")


def are_answers(answered: Sequence[object]) -> bool:
    """Whether anything was answered that a label can be held against; numbers are not."""
    return any(said is not None for payload in answered if isinstance(payload, tuple) for said in payload)


def ask_all(
    work: Work, target: Target, payload_count: int, timeout_ns: int, check: Callable[[], None]
) -> Sequence[object]:
    """Send each payload once, one at a time; one tuple of answers per payload asked, None where there was none.

    It stops asking after ``LONGEST_NS``. ``check`` is called before each request and raises once the service is gone.

    Raises:
        AttemptFailed: PIPELINE_FAILED or NO_SUCCESSFUL_REQUEST after three failures in a row; what ``check`` raises.
    """
    failures = asked = 0
    ends_ns = time.monotonic_ns() + LONGEST_NS
    while asked < payload_count and time.monotonic_ns() < ends_ns:
        check()
        try:
            work.finish(asked, ask(target, work.request(asked), timeout_ns))
            failures = 0
        except (NoAnswer, MalformedAnswer, PipelineFailed) as error:
            failures += 1
            if failures == min(MOST_FAILURES_IN_A_ROW, payload_count):
                raise _too_many(error) from error
        asked += 1
    return work.answers[:asked]


def grade(metric: str, samples: Sequence[Sample], answered: Sequence[object], batch_size: int) -> Quality:
    """Answers against labels. A labelled sample without an answer is wrong; one that was never asked does not count."""
    checked = [
        _answer(sample, answered[index // batch_size], index % batch_size)
        for index, sample in enumerate(samples)
        if index // batch_size < len(answered)
    ]
    labelled = [answer for answer in checked if answer.label is not None]
    right = sum(answer.answer == answer.label for answer in labelled)
    return Quality(
        metric=metric,
        value=right / len(labelled) if labelled else None,
        n=len(labelled),
        answers=tuple(checked[:MOST_SHOWN]),
    )


def _answer(sample: Sample, payload_answers: object, position: int) -> Answer:
    said = payload_answers[position] if isinstance(payload_answers, tuple) else None
    if isinstance(said, str):
        return Answer(sample=sample.name, answer=said, label=sample.label)
    if not isinstance(said, PipelineAnswer):
        return Answer(sample=sample.name, answer="", label=sample.label)
    return Answer(sample=sample.name, answer=said.label, label=sample.label, confidence=said.confidence)


def _too_many(error: Exception) -> AttemptFailed:
    if isinstance(error, PipelineFailed):
        return error
    return AttemptFailed(Cause.NO_SUCCESSFUL_REQUEST, f"the service answered no sample before the load: {error}")
