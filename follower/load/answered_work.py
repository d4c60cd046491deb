"""The client's part of a request where the server does the pipeline: nothing before the send, to read what it says."""

from collections.abc import Sequence

from follower.load.codec import Codec
from follower.load.dialects import DIALECTS
from follower.load.encode import MalformedAnswer
from follower.load.protocol import LoadRequest
from follower.serve.modelserver.pipelined import answers_of


class AnsweredWork:
    """Requests made ahead of the run, of raw samples; their answers are read, because they are what is wanted."""

    takes_time = True

    def __init__(self, request: LoadRequest) -> None:
        self._requests = request.encoded
        self._dialect = DIALECTS[request.target.dialect]
        self._ends_in_numbers = not request.pipeline.ends_in_answers
        self._answers: list[object] = [None] * len(request.encoded)

    @property
    def answers(self) -> Sequence[object]:
        return tuple(self._answers)

    def request(self, payload: int) -> bytes:
        return self._requests[payload]

    def finish(self, payload: int, response: Codec) -> None:
        outputs = self._dialect.decode(response)
        if self._ends_in_numbers:
            return
        try:
            answers = answers_of(outputs)
        except (KeyError, TypeError, ValueError) as error:
            raise MalformedAnswer(f"the server's answers cannot be read; it gave {sorted(outputs)}") from error
        if self._answers[payload] is None:
            self._answers[payload] = answers
