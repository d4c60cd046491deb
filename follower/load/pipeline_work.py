"""The client's part of a request where the pipeline has work to do: before the send and after the last byte."""

from collections.abc import Sequence

from follower.load.codec import Codec
from follower.load.dialects import DIALECTS
from follower.load.encode import Array, InputTensor, MalformedAnswer
from follower.load.predict_json import UNNAMED
from follower.load.protocol import LoadRequest
from follower.pipeline.chain import build_parts, build_postprocess, inputs_of, outputs_of
from follower.pipeline.protocol import PipelineFailed


class PipelineWork:
    """Raw samples, pre-processed and encoded for every request; outputs decoded and post-processed."""

    takes_time = True

    def __init__(self, request: LoadRequest) -> None:
        """Raises PipelineFailed where the ops cannot be built."""
        self._raw = request.raw
        self._target = request.target
        self._dialect = DIALECTS[request.target.dialect]
        self._feeds = request.feeds
        self._output_name = request.output_name
        self._pipeline = request.pipeline
        self._preprocess = build_parts(request.pipeline, request.tokenizer)
        self._postprocess = build_postprocess(request.pipeline, request.labels)
        self._answers: list[object] = [None] * len(request.raw)

    @property
    def answers(self) -> Sequence[object]:
        return tuple(self._answers)

    def request(self, payload: int) -> bytes:
        samples = [self._preprocess(sample) for sample in self._raw[payload]]
        try:
            arrays = inputs_of(self._pipeline, self._feeds, samples)
            tensors = [InputTensor(name=f.name, datatype=f.datatype, array=arrays[f.name]) for f in self._feeds]
            return self._dialect.encode(self._target, tensors)
        except (TypeError, ValueError) as error:
            wanted = " or ".join(dict.fromkeys(feed.datatype for feed in self._feeds))
            raise PipelineFailed(f"payload {payload}: its samples do not make one {wanted} tensor: {error}") from error

    def finish(self, payload: int, response: Codec) -> None:
        secret = self._target.secret
        if secret is not None and secret.is_in(response.body):
            raise MalformedAnswer("the answer repeats the secret that it was asked with")
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
