"""Whatever is sent as a job file, the answer is a job or a list of problems; JSON and YAML are read alike."""

import json
import math
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from shared.errors import InvalidJobFile, TooLarge
from shared.jobs.document import JSON, YAML, read_document, read_job
from shared.jobs.json_source import read_json
from shared.jobs.source import ASIDE
from shared.jobs.yaml_source import read_yaml

GOOD: dict[str, Any] = {
    "name": "demo",
    "model": {"generate": {"family": "attention", "width": 64, "heads": 4}},
    "service": {"threads": 1, "batching": {"max_batch_size": 4, "max_delay_ms": 2}},
    "requests": {"dataset": "images-small", "batch_size": 1},
    "pipeline": {"preprocess": [{"op": "decode_image"}, {"op": "resize", "size": [8, 8]}], "postprocess": []},
    "workload": {"pattern": "poisson", "rate": 50, "warmup": "1s", "duration": "5s", "seed": 1},
    "network": {"delay_ms": 5},
    "slo": {"p99_ms": 50},
    "requires": {"labels": {"zone": "lab-2"}},
    "sweep": {"workload.rate": [10, 20], "service.threads": [1, 2]},
    "repeats": 2,
}

numbers = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
words = st.sampled_from(["", "poisson", "5s", "cpu", "fc", "resize", "workload.rate", "on", "null", "~", "-", "\ufffe"])
scalars = st.none() | st.booleans() | numbers | words | st.text(max_size=8)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(words | st.text(max_size=6), inner, max_size=4)
)


def paths_of(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a document."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(found for step, below in inner for found in paths_of(below, (*path, step)))]


def replaced(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    """A copy of ``value`` with ``new`` at ``path``."""
    if not path:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = replaced(value[path[0]], path[1:], new)
    return copy


def outcome(text: bytes | str, content_type: str = YAML) -> list[tuple[str, str]] | None:
    """Path and message of every problem, or None for a job; anything else escapes and fails the test."""
    try:
        assert read_document(text, content_type=content_type).runs
    except TooLarge:
        return []
    except InvalidJobFile as error:
        problems = error.problems
    else:
        return None
    assert problems
    assert all(problem.line is None or min(problem.line, problem.column or 0) >= 1 for problem in problems)
    return [(problem.path, problem.message) for problem in problems]


def test_the_good_document_is_good() -> None:
    """The document that the other tests spoil is a job with eight runs."""
    assert len(read_document(json.dumps(GOOD)).runs) == 8


@given(st.binary(max_size=300))
def test_any_bytes_give_a_job_or_problems(raw: bytes) -> None:
    """No input, text or not, escapes as any other error."""
    outcome(raw)
    outcome(raw, JSON)


@given(st.text(alphabet="ab:-?,[]{}&*!|>'\"%@`#~ \n\t\r\\u0x\ud800\x85\u2028<=.10", max_size=60))
@example('a: "\\UFFFFFFFF"')
@example("%YAML 1.1\n---\na")
@example("a: !<")
@example("? {a: b}\n: c")
@example("a: .1e9999")
def test_any_punctuation_gives_a_job_or_problems(text: str) -> None:
    """Neither do YAML's own characters in any order."""
    outcome(text)
    outcome("name: " + text)


@given(st.data())
@settings(max_examples=300)
def test_a_spoilt_document_gives_a_job_or_problems_and_no_inner_names(data: st.DataObject) -> None:
    """Any value in any place: problems point into the document, and never name a model or a union's member."""
    path = data.draw(st.sampled_from(paths_of(GOOD)))
    spoilt = replaced(GOOD, path, data.draw(values))
    told = outcome(json.dumps(spoilt), JSON)
    for where, message in told or []:
        assert not {"NamedModel", "GeneratedModel", "NetworkLink", "NetworkProfile"} & set(where.split("."))
        assert "pydantic" not in message
        assert "Spec" not in message


@given(st.data())
@settings(max_examples=150)
def test_an_unknown_key_is_told_where_it_stands(data: st.DataObject) -> None:
    """A key that no section knows is reported under its own path, whatever section it was put into."""
    sections = [path for path in paths_of(GOOD) if isinstance(_at(GOOD, path), dict) and path[:1] != ("sweep",)]
    path = data.draw(st.sampled_from([path for path in sections if path[-1:] != ("labels",)]))
    spoilt = replaced(GOOD, path, {**_at(GOOD, path), "zzzz": 1})
    told = outcome(json.dumps(spoilt, indent=1), JSON)
    assert told is not None
    assert any(where.endswith("zzzz") for where, _ in told)


@given(values)
def test_json_is_read_as_the_standard_library_reads_it(value: Any) -> None:
    """The reader with places gives what the standard reader gives, for every document within its limits."""
    text = json.dumps(value, indent="\t")
    assert _same(read_json(text).data, json.loads(text))


@given(values)
def test_yaml_reads_json_alike(value: Any) -> None:
    """JSON in its plain form is YAML: both readers agree on the data and on the places."""
    text = json.dumps(value, ensure_ascii=True, indent=1)
    try:
        from_yaml = read_yaml(text)
    except InvalidJobFile:
        assert len(max(text.splitlines(), key=len)) > 1000 or "\\u" in text
        return
    if from_yaml.problems:
        assert "\\ud" in text  # a character beyond 16 bits is two escapes in JSON and none in YAML
        return
    from_json = read_json(text)
    assert _same(from_yaml.data, from_json.data)
    assert from_yaml.keys == from_json.keys
    assert {loc: place for loc, place in from_yaml.values.items() if ASIDE not in loc} == from_json.values


@given(st.sampled_from(sorted({"on", "off", "yes", "no", "y", "n", "On", "NO", "010s", "1_000", "12:30:45", "0b1"})))
def test_what_yaml_1_1_turned_into_something_else_stays_text(word: str) -> None:
    """Words that older YAML took for booleans, octals or times are the text they look like."""
    assert read_yaml(f"a: {word}").data == {"a": word}


def test_integers_do_for_numbers() -> None:
    """A rate may be written without a decimal point."""
    assert read_job(json.dumps(GOOD)).workload.model_dump()["rate"] == 50.0


def _at(value: Any, path: tuple[Any, ...]) -> Any:
    for step in path:
        value = value[step]
    return value


def _same(ours: Any, theirs: Any) -> bool:
    if isinstance(theirs, dict):
        return list(ours) == list(theirs) and all(_same(ours[key], theirs[key]) for key in theirs)
    if isinstance(theirs, list):
        return len(ours) == len(theirs) and all(map(_same, ours, theirs))
    if isinstance(theirs, int | float) and not isinstance(theirs, bool):
        return math.isclose(ours, theirs, rel_tol=1e-12) and (type(ours) is type(theirs) or abs(theirs) > 1e30)
    return bool(ours == theirs) and type(ours) is type(theirs)
