"""Numbers and words as a terminal shows them. ``None`` is "n/a": not available is never zero."""

from datetime import datetime
from typing import Final

from rich.cells import cell_len, set_cell_size

NOT_AVAILABLE: Final = "n/a"
_MINUTE_S: Final = 60
_HOUR_S: Final = 3600
_DAY_S: Final = 86_400
_KIB: Final = 1024


def milliseconds(value_ms: float | None) -> str:
    """Three to four digits that mean something: 0.412, 3.26, 31.2, 1204.9."""
    if value_ms is None:
        return NOT_AVAILABLE
    decimals = 3 if abs(value_ms) < 1 else 2 if abs(value_ms) < 10 else 1  # noqa: PLR2004 - digits before the point
    return f"{value_ms:.{decimals}f}"


def rate(value: float | None) -> str:
    """Something per second."""
    return NOT_AVAILABLE if value is None else f"{value:.1f}" if abs(value) < 1000 else f"{value:.0f}"  # noqa: PLR2004


def percent(share: float | None) -> str:
    """A share of one as percent."""
    return NOT_AVAILABLE if share is None else f"{100 * share:.1f} %"


def cpu(value_pct: float | None) -> str:
    """Use of cores; 100 % is one core."""
    return NOT_AVAILABLE if value_pct is None else f"{value_pct:.0f} %"


def size(value_bytes: float | None) -> str:
    """Bytes in binary units."""
    if value_bytes is None:
        return NOT_AVAILABLE
    amount, units = float(value_bytes), ["B", "KiB", "MiB", "GiB"]
    while amount >= _KIB and len(units) > 1:
        amount, units = amount / _KIB, units[1:]
    return f"{amount:.0f} {units[0]}" if units[0] == "B" or amount >= 100 else f"{amount:.1f} {units[0]}"  # noqa: PLR2004


def seconds(value_s: float | None) -> str:
    """A span: 3.2 s, 95 s, 12 min, 3.5 h."""
    if value_s is None:
        return NOT_AVAILABLE
    if value_s < 10:  # noqa: PLR2004 - one digit before the point
        return f"{value_s:.1f} s"
    if value_s < 2 * _MINUTE_S:
        return f"{value_s:.0f} s"
    return f"{value_s / _MINUTE_S:.0f} min" if value_s < 2 * _HOUR_S else f"{value_s / _HOUR_S:.1f} h"


def age(moment: datetime, now: datetime) -> str:
    """How long ago, in the largest whole unit: 5s, 12m, 3h, 9d."""
    elapsed_s = max(0, int((now - moment).total_seconds()))
    for unit_s, letter in ((_DAY_S, "d"), (_HOUR_S, "h"), (_MINUTE_S, "m")):
        if elapsed_s >= unit_s:
            return f"{elapsed_s // unit_s}{letter}"
    return f"{elapsed_s}s"


def printable(text: str) -> str:
    """Text from elsewhere on one line, with nothing in it that a terminal would obey."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def fitted(text: str, columns: int) -> str:
    """At most so many columns on the screen; what is cut off leaves an ellipsis. Wide characters count two."""
    return text if cell_len(text) <= columns else set_cell_size(text, columns - 1).rstrip() + "…"


def padded(text: str, columns: int) -> str:
    """Filled up with blanks to so many columns; longer text stays as it is."""
    return text + " " * (columns - cell_len(text))
