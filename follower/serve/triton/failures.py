"""Why did the model not load? From the server's words to a cause. Pure."""

import re
from typing import Final

from follower.serve.launch.exits import allocation_failed
from shared.errors import AttemptFailed
from shared.jobs.lifecycle import Cause

_STUB_DIED: Final = re.compile(r"stub process .*(not healthy|exited)|failed to initialize stub", re.IGNORECASE)


def load_failure(message: str, log_tail: str, *, oom_kills: int) -> AttemptFailed:
    """The failure that a refused load means.

    Args:
        message: what the server answered.
        log_tail: the end of its log.
        oom_kills: processes that the kernel killed for memory since the start.
    """
    died = _STUB_DIED.search(message) is not None
    if allocation_failed(message) or (died and (oom_kills > 0 or allocation_failed(log_tail))):
        cause, what = Cause.SERVER_OUT_OF_MEMORY, "there was not enough memory to load the model"
    elif died:
        cause, what = Cause.SERVER_DIED, "the model's process died while it loaded the model"
    else:
        cause, what = Cause.MODEL_LOAD_FAILED, "Triton does not load the model"
    return AttemptFailed(cause, f"{what}: {_one_line(message)}", log_tail=log_tail)


def _one_line(text: str) -> str:
    return " ".join(text.split())
