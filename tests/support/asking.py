"""One inference of a service, in whatever it speaks."""

from typing import Any

import numpy as np
import numpy.typing as npt
from support.codec_client import codec_client

from follower.load.dialects import DIALECTS, target_of
from follower.load.encode import InputTensor
from follower.serve.protocol import Endpoint

Array = npt.NDArray[Any]

OK = 200
DATATYPES = {np.dtype(np.float32): "FP32", np.dtype(np.int64): "INT64"}


class RefusedToAnswer(Exception):
    """The service answered with an error."""


def ask(endpoint: Endpoint, **inputs: Array) -> dict[str, Array]:
    """The outputs of one inference, by name. Raises RefusedToAnswer with the service's words."""
    target, dialect = target_of(endpoint), DIALECTS[endpoint.dialect]
    tensors = [InputTensor(name=name, datatype=DATATYPES[x.dtype], array=x) for name, x in inputs.items()]
    with codec_client(target) as client:
        answer = client.ask(dialect.encode(target, tensors))
        if answer.status != OK:
            raise RefusedToAnswer(answer.explanation)
        return dialect.decode(answer)
