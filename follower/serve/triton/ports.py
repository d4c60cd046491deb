"""Which port Triton found taken, as it words it."""

import re
from typing import Final

_TAKEN: Final = re.compile(r"Socket '([^']+)' already in use")


def taken_address(log: str) -> str | None:
    """The address that the server found in use; None where it ended for another reason."""
    found = _TAKEN.search(log)
    return found[1] if found else None
