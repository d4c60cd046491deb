"""Reading job files: places, limits, notations. What is said about wrong ones is in test_job_errors.py."""

import json
import time
from textwrap import dedent

import pytest

from shared.errors import InvalidJobFile, Problem, TooLarge
from shared.jobs.document import JSON, MAX_JOB_FILE_BYTES, read_document, read_job
from shared.jobs.source import MAX_NODES
from shared.jobs.spec import GeneratedModel
from shared.jobs.workload import PoissonWorkload

GOOD = dedent("""\
    # a comment
    name: demo
    model: {generate: {family: fc}}
    service:
      threads: 2
      batching: {max_batch_size: 4}
    workload:
      pattern: poisson
      rate: 50
      warmup: 500ms
      duration: 1.5m
    """)


def problems_of(text: str | bytes, content_type: str = "application/yaml") -> list[Problem]:
    """What is said about a wrong file."""
    with pytest.raises(InvalidJobFile) as caught:
        read_job(text, content_type=content_type)
    return list(caught.value.problems)


def test_a_good_file_becomes_a_job_with_its_defaults() -> None:
    """Units are converted, integers do for numbers, what is absent has its default."""
    job = read_job(GOOD)
    assert isinstance(job.model, GeneratedModel)
    assert isinstance(job.workload, PoissonWorkload)
    assert (job.workload.rate, job.workload.warmup, job.workload.duration) == (50.0, 500_000_000, 90_000_000_000)
    assert (job.team, job.repeats, job.service.threads, job.service.instances) == ("default", 1, 2, 1)


def test_bytes_text_and_a_byte_order_mark_are_read_alike() -> None:
    """An editor's mark at the start of the file is no part of the job."""
    assert read_job(GOOD) == read_job(GOOD.encode()) == read_job(b"\xef\xbb\xbf" + GOOD.encode())


def test_windows_line_ends_do_not_move_the_lines() -> None:
    """Lines are counted as the editor counts them."""
    (problem,) = problems_of(GOOD.replace("rate: 50", "rate: -1").replace("\n", "\r\n"))
    assert (problem.line, problem.column) == (9, 9)


def test_json_is_read_by_its_content_type_with_or_without_parameters() -> None:
    """The same job comes out of both notations."""
    body = json.dumps({"name": "demo", "model": {"generate": {"family": "fc"}}, "workload": {"pattern": "closed"}})
    assert read_job(body, content_type="application/json; charset=utf-8") == read_job(body)


@pytest.mark.parametrize("content_type", ["application/yaml", JSON])
def test_a_problem_points_at_the_value_and_an_unknown_key_at_the_key(content_type: str) -> None:
    """Line and column count from 1 and are those of the thing concerned."""
    text = '{"name": "demo",\n "model": {"name": "m", "x": 1},\n "workload": {"pattern": "poisson",\n   "rate": 0}}'
    unknown, value = problems_of(text, content_type)
    assert (unknown.path, unknown.line, unknown.column) == ("model.x", 2, 25)
    assert (value.path, value.line, value.column) == ("workload.rate", 4, 12)


def test_a_problem_says_what_was_found_what_is_allowed_and_what_was_meant() -> None:
    """Machines read the fields; people read the sentence that they make."""
    (problem,) = problems_of(GOOD.replace("threads", "threds"))
    assert (problem.path, problem.line, problem.column) == ("service.threds", 5, 3)
    assert problem.found == "threds"
    assert problem.suggestion == "threads"
    assert "instances" in (problem.allowed or "")
    assert str(problem) == "line 5, column 3: service.threds: unknown key; did you mean 'threads'?"


def test_a_missing_key_is_told_at_the_section_that_lacks_it() -> None:
    """There is no line for what is not there, so the section's own line stands."""
    (problem,) = problems_of(GOOD.replace("  rate: 50\n", ""))
    assert (problem.path, problem.line, problem.message) == ("workload.rate", 7, "is required")


def test_all_problems_come_in_the_order_of_the_file() -> None:
    """Notation, keys, values, contradictions and the sweep are told together."""
    text = GOOD.replace("name: demo", "name: Demo").replace("threads: 2", "threads: 2\n  threads: 3")
    text += "requires: {device: cuda}\nsweep: {workload.rat: [1]}\n"
    told = problems_of(text)
    assert [problem.path for problem in told] == ["name", "service.threads", "requires.device", "sweep.workload.rat"]
    assert [problem.line for problem in told] == sorted(problem.line or 0 for problem in told)


def test_a_file_at_the_limit_is_read_and_one_above_it_is_not() -> None:
    """The limit counts bytes, and holds before anything is parsed."""
    padding = "#" * (MAX_JOB_FILE_BYTES - len(GOOD))
    assert read_job(GOOD + padding).name == "demo"
    with pytest.raises(TooLarge, match="65,536"):
        read_job(GOOD + padding + "#")


def test_hundreds_of_problems_are_cut_short() -> None:
    """A screen of problems and a count, not all of them."""
    text = GOOD + "".join(f"k{number}: 1\n" for number in range(200))
    told = problems_of(text)
    assert len(told) == 51
    assert told[-1].message == "150 more problems are not listed"


BOMBS = {
    "nine layers of nine aliases": "a: &a [x]\n"
    + "".join(f"{n}: &{n} [{', '.join([f'*{p}'] * 9)}]\n" for p, n in zip("abcdefgh", "bcdefghi", strict=True)),
    "an alias to itself": "a: &a [*a, *a]\n",
    "merge keys": "a: &a {x: 1}\nb: {<<: [*a, *a, *a]}\n",
    "thousands of aliases": "a: &a x\nb: [" + "*a, " * 15_000 + "]",
    "deep flow sequences": "[" * 60_000,
    "deep flow mappings": "{a: " * 15_000,
    "deep block sequences": "- " * 30_000,
    "deep keys": "? " * 30_000,
    "anchors without end": "".join(f"k{n}: &a{n} v\n" for n in range(4000)),
    "tags": "".join(f"k{n}: !!python/object:os.system v\n" for n in range(1500)),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_dies_at_once(name: str) -> None:
    """In 50 ms on an idle core; the bound here leaves room for a busy machine."""
    started = time.process_time_ns()
    assert problems_of(BOMBS[name])
    assert time.process_time_ns() - started < 250_000_000


def test_more_nodes_than_any_job_needs_are_refused() -> None:
    """Parsing stops there, so the time for a hostile file is bounded."""
    (problem,) = problems_of("a: [" + "1," * MAX_NODES + "]")
    assert "keys and values" in problem.message


def test_an_alias_hides_nothing_else() -> None:
    """The value behind an alias is unknown; everything around it is still checked, and it is not reported twice."""
    told = problems_of(GOOD.replace("rate: 50", "rate: *r").replace("threads: 2", "threads: 0"))
    assert [problem.path for problem in told] == ["service.threads", "workload.rate"]


def test_problems_found_later_can_be_located() -> None:
    """What only the followers know, such as a missing capability, is told with the line it is about."""
    document = read_document(GOOD)
    later = [
        Problem(message="x", path="service.batching.max_batch_size"),
        Problem(message="x", path="service.platform"),  # a default: its section stands for it
        Problem(message="x", path="network"),
        Problem(message="x"),
    ]
    assert [(p.line, p.column) for p in document.located(later)] == [(6, 30), (4, 1), (2, 1), (2, 1)]


def test_the_error_itself_names_the_first_problem() -> None:
    """Whoever logs only the exception still learns where to look."""
    with pytest.raises(InvalidJobFile, match="2 problems; line 2, column 7: name"):
        read_job(GOOD.replace("name: demo", "name: Demo").replace("threads", "threds"))
