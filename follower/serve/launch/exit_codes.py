"""What a server of ours exits with when it knows the reason; its last line of log then says it in words.

Values from sysexits.h, which no shell and no interpreter uses by itself: EX_DATAERR, EX_SOFTWARE and EX_OSERR.
"""

from typing import Final

MODEL_LOAD_FAILED: Final = 65
DEFECT: Final = 70
OUT_OF_MEMORY: Final = 71
