"""The client's part of a request where the pipeline has work to do: before the send and after the last byte."""

from collections.abc import Sequence

from follower.load.codec import Codec
from follower.load.dialects import DIALECTS
from follower.load.encode import Array, InputTensor, MalformedAnswer
from follower.load.predict_json import UNNAMED
from follower.load.protocol import LoadRequest
from follower.pipeline.chain import batch_of, build_postprocess, build_preprocess, outputs_of
from follower.pipeline.protocol import PipelineFailed


class PipelineWork:
    """Raw samples, pre-processed and encoded for every request; outputs decoded and post-processed."""

    takes_time = True

    def __init__(self, request: LoadRequest) -> None:
        """Raises PipelineFailed where the ops cannot be built."""
        self._raw = request.raw
        self._target = request.target
        self._dialect = DIALECTS[request.target.dialect]
        self._input = (request.input_name, request.input_datatype)
        self._output_name = request.output_name
        self._pipeline = request.pipeline
        self._preprocess = build_preprocess(request.pipeline)
        self._postprocess = build_postprocess(request.pipeline, request.labels)
        self._answers: list[object] = [None] * len(request.raw)

    @property
    def answers(self) -> Sequence[object]:
        return tuple(self._answers)

    def request(self, payload: int) -> bytes:
        samples = [self._preprocess(sample) for sample in self._raw[payload]]
        name, datatype = self._input
        try:
            batch = batch_of(self._pipeline, samples)
            return self._dialect.encode(self._target, [InputTensor(name=name, datatype=datatype, array=batch)])
        except (TypeError, ValueError) as error:
            raise PipelineFailed(
                f"payload {payload}: its samples do not make one {datatype} tensor: {error}"
            ) from error

    def finish(self, payload: int, response: Codec) -> None:
        outputs = self._dialect.decode(response)
        output = outputs.get(self._output_name, outputs.get(UNNAMED))
        if output is None:
            raise MalformedAnswer(f"no output {self._output_name!r}; the answer has {sorted(outputs)}")
        try:
            rows = outputs_of(self._pipeline, output, len(self._raw[payload]))
        except ValueError as error:
            raise MalformedAnswer(str(error)) from error
        answers = tuple(self._postprocess(row) for row in rows) if rows.dtype != object else self._texts(rows)
        if self._answers[payload] is None:
            self._answers[payload] = answers

    def _texts(self, rows: Array) -> tuple[str | None, ...]:
        """What a service says in words is its answer; None for strings that are not one to a sample."""
        if self._pipeline.postprocess:
            raise MalformedAnswer("the output is text, and pipeline.postprocess takes scores")
        return tuple(row.decode(errors="replace") if isinstance(row, bytes) else None for row in rows)
