"""Writes the job file's reference page and schema file from the models: ``python -m shared.jobs.reference``.

With ``--check`` nothing is written; the exit status says whether the files are as they would be written.
"""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from shared.jobs import schema
from shared.jobs.document import MAX_JOB_FILE_BYTES
from shared.jobs.schema import Node
from shared.jobs.sweep import MAX_RUNS
from shared.jobs.workload import MAX_PLANNED_REQUESTS
from shared.workload.trace_columns import COLUMNS

DOCS: Final = Path(__file__).parents[2] / "docs"

_HEAD: Final = f"""\
# Job file reference

<!-- Written by `make docs` from the models in shared/jobs. Changes here are lost. -->

A job file is one YAML 1.2 document of at most {MAX_JOB_FILE_BYTES // 1024} KiB, or the same as JSON. Unknown keys are
errors. Anchors, aliases and tags are not allowed. `yes`, `no`, `on` and `off` are text; booleans are `true` and
`false`. A duration is a number with a unit: `200ms`, `5s`, `2m`; units are `ns`, `us`, `ms`, `s`, `m`, `h`.

Editors complete and check job files whose first line says where the schema is, as those in `examples/jobs/` do:

```text
# yaml-language-server: $schema=../../docs/job.schema.json
```

`inferbench validate FILE` tells every problem at once, with line and column. What a job may ask for and what a
follower can run are two things: a job that asks for what no follower announces is refused when it is submitted.

## Sweep and repeats

`sweep` maps dotted paths to lists of values. The runs of the job are the product of all lists, times `repeats`; at
most {MAX_RUNS:,}. Paths are taken in alphabetical order, and the last varies fastest. Repeats are interleaved: every
point once, then every point again. Repeat *r* uses `workload.seed` + *r*, so its arrivals are another draw from the
same law; repeats share their comparability key, which ignores the seed. A value gives place to a section where a path
asks for it: `network.delay_ms` may be swept under `network: none`.

"""

_TRACES: Final = f"""\
## What a trace may hold

A trace for `pattern: trace` is UTF-8 text: CSV with a header, or JSON lines if it begins with a brace. It has at most
{MAX_PLANNED_REQUESTS:,} rows in the order of their arrival; other columns are not looked at. The first of these columns
that the file has is taken. It holds numbers of at least 0, or dates and times such as
`2024-05-10 00:00:00.009930+00:00`, with up to nine decimals; without a zone they are taken as UTC. The first row is
the trace's zero, so it does not matter whether a column counts from the start of the recording or from 1970.
"""


def reference_page() -> str:
    """The page, as Markdown."""
    return _HEAD + "\n".join(_sections()) + "\n" + "\n".join([*_trace_columns(), *_sweepable()])


def schema_file() -> str:
    """The JSON Schema, as it stands in the repository."""
    return json.dumps(schema.job_json_schema(), indent=2, ensure_ascii=False) + "\n"


def _sections() -> Iterator[str]:
    yield from _section("The whole file", "", schema.root())
    for name, node in schema.keys(schema.root()).items():
        yield from _below(name, node)


def _below(path: str, node: Node) -> Iterator[str]:
    """The sections under a key, with one table for each variant of a choice."""
    inner = schema.resolved(node)
    if "items" in inner:
        yield from _below(f"{path}[]", inner["items"])
    members = {tag: member for tag, member in schema.variants(inner).items() if schema.keys(member)}
    chosen_by = schema.discriminator(inner)
    for tag, member in members.items():
        marks = [f"{chosen_by}: {tag}"] if chosen_by else list(member.get("required", ()))
        title = f"`{path}`" + "".join(f" with `{mark}`" for mark in marks)
        yield from _section(title, path, member)
    if not members and schema.keys(inner):
        yield from _section(f"`{path}`", path, inner)
    for member in members.values() or [inner]:
        for name, below in schema.keys(member).items():
            yield from _below(f"{path}.{name}", below)


def _section(title: str, path: str, node: Node) -> Iterator[str]:
    yield f"## {title}\n"
    if path:
        yield f"{_text(node.get('description', ''))}\n"
    yield "| key | type | default | meaning |"
    yield "|---|---|---|---|"
    required = node.get("required", ())
    for name, inner in schema.keys(node).items():
        yield _row(f"{path}.{name}".removeprefix("."), name, inner, required)
    yield ""


def _row(path: str, name: str, node: Node, required: Sequence[str]) -> str:
    meaning = node.get("description") or schema.resolved(node).get("description", "")
    default = "required" if name in required else _default(node)
    return f"| `{path}` | {_cell(_type(node))} | {default} | {_cell(_text(meaning))} |"


def _type(node: Node) -> str:
    inner = schema.resolved(node)
    if schema.keys(inner):
        return "section"
    if schema.discriminator(inner.get("items", {})):
        return "a list of " + " or ".join(f"`{tag}`" for tag in schema.variants(inner["items"]))
    if inner.get("type") == "object":
        return "a mapping"
    return schema.allowed(node)


def _default(node: Node) -> str:
    value: Any = node.get("default")
    if value is None or isinstance(value, Mapping):
        return ""
    return f"`{json.dumps(value) if not isinstance(value, str) else value}`"


def _text(docstring: str) -> str:
    return docstring.replace("``", "`").replace("\n", " ")


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _trace_columns() -> Iterator[str]:
    yield _TRACES
    yield "| column | a number counts | in | known from |"
    yield "|---|---|---|---|"
    for column in COLUMNS:
        yield f"| `{column.name}` | {column.unit} | {' and '.join(column.kinds)} | {column.known_from} |"
    yield ""


def _sweepable() -> Iterator[str]:
    yield "## What a sweep may vary\n"
    yield from (f"- `{path}`" for path in schema.value_paths())
    yield ""


def main(arguments: Sequence[str]) -> int:
    """Write the files, or with ``--check`` compare them; 1 if they differ."""
    files = {DOCS / "job-reference.md": reference_page(), DOCS / "job.schema.json": schema_file()}
    if "--check" in arguments:
        stale = [path.name for path, text in files.items() if not path.exists() or path.read_text("utf-8") != text]
        sys.stderr.write("".join(f"docs/{name} is not up to date; run make docs\n" for name in stale))
        return 1 if stale else 0
    for path, text in files.items():
        path.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
