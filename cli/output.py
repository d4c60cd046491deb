"""Where text goes: results to standard output, everything else to standard error. Colour only where a person looks."""

import sys
from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from io import StringIO
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from pydantic import BaseModel


class Format(StrEnum):
    """How a result is written."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"


COLOURS = {
    r"\b(VALID|MET|right|succeeded|alive|ok|ready)\b": "green",
    r"\b(MARKED|warn|running|claimed|pending)\b": "yellow",
    r"\b(INVALID|NOT MET|WRONG|failed|lost|fail|refused|error)\b": "bold red",
}


def emit(result: "BaseModel | Mapping[str, Any]", form: Format, lines: Callable[[], Iterable[str]]) -> None:
    """Writes a result. JSON and YAML are the API's own models as they are; ``lines`` are for people."""
    if form is Format.TABLE:
        show(lines())
    elif form is Format.JSON:
        sys.stdout.write(_json(result) + "\n")
    else:
        sys.stdout.write(_yaml(result))


def show(lines: Iterable[str]) -> None:
    """A result as text."""
    _write(lines, sys.stdout)


def say(*lines: str) -> None:
    """Something beside the result."""
    _write(lines, sys.stderr)


def _write(lines: Iterable[str], stream: TextIO) -> None:
    if not stream.isatty():
        stream.writelines(f"{line}\n" for line in lines)
        stream.flush()
        return
    from rich.console import Console  # noqa: PLC0415 - only a terminal needs it
    from rich.text import Text  # noqa: PLC0415 - the same

    console = Console(file=stream, highlight=False)  # honours NO_COLOR
    for line in lines:
        text = Text(line)
        for pattern, style in COLOURS.items():
            text.highlight_regex(pattern, style)
        console.print(text, soft_wrap=True)


def _json(result: "BaseModel | Mapping[str, Any]") -> str:
    import json  # noqa: PLC0415 - not needed for tables

    return json.dumps(_plain(result), indent=2, ensure_ascii=False)


def _yaml(result: "BaseModel | Mapping[str, Any]") -> str:
    from ruamel.yaml import YAML  # noqa: PLC0415 - slow to import

    text, yaml = StringIO(), YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]  # declared None; keeps the order of keys
    yaml.allow_unicode = True
    yaml.dump(_plain(result), text)
    return text.getvalue()


def _plain(result: "BaseModel | Mapping[str, Any]") -> Any:
    return dict(result) if isinstance(result, Mapping) else result.model_dump(mode="json")
