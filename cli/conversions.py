"""Conversions in the leader's queue: asked for, followed, shown."""

import time
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Final

from cli.client import Client
from cli.exits import ExitCode
from cli.quantities import age, printable
from cli.tables import table
from shared.jobs.conversion import ConversionState
from shared.wire.conversions import ConversionView

LOOK_EVERY_S: Final = 1.0

_EXITS: Final = {ConversionState.FAILED: ExitCode.FAILURE, ConversionState.CANCELLED: ExitCode.CANCELLED}


def wish_of(model: str, version: int | None, *, to: str, dataset: str | None, name: str | None) -> dict[str, Any]:
    """The body of the request."""
    chosen = {"name": model} | ({} if version is None else {"version": version})
    rest = {"dataset": dataset, "as": name}
    return {"model": chosen, "to": to, **{key: value for key, value in rest.items() if value is not None}}


def follow_conversion(
    client: Client,
    conversion_id: str,
    line: Callable[[str], None],
    *,
    sleep: Callable[[float], None] = time.sleep,
) -> ConversionView:
    """Tells each change of its state, and of what it waits for, until it has ended; it as it stands then."""
    told = ""
    while True:
        view = client.conversion(conversion_id)
        news = state_text(view)
        if news != told:
            line(news)
        if view.state.is_terminal:
            return view
        told = news
        sleep(LOOK_EVERY_S)


def state_text(view: ConversionView) -> str:
    """``running on local, attempt 2: it stands still while ...``."""
    where = f" on {view.converter}, attempt {view.attempt}" if view.state is ConversionState.RUNNING else ""
    why = view.cause if view.state.is_terminal else view.waiting
    return printable(f"{view.id}  {view.state}{where}" + (f": {why}" if why else ""))


def exit_code_of(view: ConversionView) -> ExitCode:
    """What a script may rely on; a conversion that has not ended is no failure."""
    return _EXITS.get(view.state, ExitCode.OK)


def conversions_table(views: Sequence[ConversionView], now: datetime) -> list[str]:
    """One line a conversion."""
    if not views:
        return ["no conversions"]
    heads = ("CONVERSION", "STATE", "FROM", "TO", "RESULT", "ATTEMPT", "CONVERTER", "AGE", "WHY")
    return table(
        heads,
        (
            (
                view.id,
                view.state,
                f"{view.model} {view.version}",
                view.to,
                f"{view.result.name} {view.result.version}" if view.result else view.name,
                str(view.attempt),
                view.converter or "-",
                age(view.created_at, now),
                (view.cause if view.state.is_terminal else view.waiting) or "-",
            )
            for view in views
        ),
    )
