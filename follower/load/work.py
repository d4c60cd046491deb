"""What a request carries and what becomes of its answer: made ahead of the run, or by the pipeline, timed."""

from collections.abc import Sequence
from typing import Protocol

from follower.load.codec import Codec
from follower.load.protocol import LoadRequest


class Work(Protocol):
    """The client's part of a request."""

    @property
    def takes_time(self) -> bool:
        """Whether there is work to stamp before the send and after the last byte; bodies are then kept."""
        ...

    @property
    def answers(self) -> Sequence[object]:
        """What became of each payload, once; None where nothing did."""
        ...

    def request(self, payload: int) -> bytes:
        """What ``Codec.start`` takes.

        Raises:
            PipelineFailed: a sample cannot be pre-processed.
        """
        ...

    def finish(self, payload: int, response: Codec) -> None:
        """Makes a successful response ready for use.

        Raises:
            MalformedAnswer: the body is not the one that was promised.
            PipelineFailed: the output cannot be post-processed.
        """
        ...


class PreparedWork:
    """Requests made ahead of the run; their answers are read to the last byte and not looked at."""

    takes_time = False

    def __init__(self, request: LoadRequest) -> None:
        self._requests = request.encoded
        self.answers: Sequence[object] = (None,) * len(self._requests)

    def request(self, payload: int) -> bytes:
        return self._requests[payload]

    def finish(self, payload: int, response: Codec) -> None:
        """Nothing to do."""


def work_of(request: LoadRequest) -> Work:
    """The work that the request asks for.

    Raises:
        PipelineFailed: its ops cannot be built.
    """
    if request.server_pipeline:
        from follower.load.answered_work import AnsweredWork  # noqa: PLC0415 - seldom needed

        return AnsweredWork(request)
    if request.encoded:
        return PreparedWork(request)
    from follower.load.pipeline_work import PipelineWork  # noqa: PLC0415 - the image library is slow to import

    return PipelineWork(request)
