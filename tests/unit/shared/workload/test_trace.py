"""Traces as they are met in the wild, and what is said about wrong ones."""

import numpy as np
import pytest

from shared.errors import InvalidInput, Problem
from shared.workload import trace
from shared.workload.trace import read_trace
from shared.workload.trace_columns import COLUMNS

AZURE_2023 = b"""TIMESTAMP,ContextTokens,GeneratedTokens
2023-11-16 18:15:46.6805900,374,44
2023-11-16 18:15:50.9951690,396,109
2023-11-16 18:15:51.2224670,879,55
"""
AZURE_2024 = b"""TIMESTAMP,ContextTokens,GeneratedTokens
2024-05-10 23:59:59.999999+00:00,2162,5
2024-05-11 02:00:00.017335+02:00,2399,6
"""
MOONCAKE = b"""{"timestamp": 0, "input_length": 6955, "output_length": 52, "hash_ids": [46, 47]}
{"timestamp": 3052, "input_length": 6472, "output_length": 26, "hash_ids": []}

{"timestamp": 3052.25, "input_length": 1, "output_length": 2}
"""


def problem_of(data: bytes) -> Problem:
    """The one problem of a wrong trace."""
    with pytest.raises(InvalidInput) as caught:
        read_trace(data, "june")
    (problem,) = caught.value.problems
    assert str(caught.value) == f"trace june: {problem}"
    return problem


@pytest.mark.parametrize(
    ("data", "expected_ns"),
    [
        (AZURE_2023, [0, 4_314_579_000, 4_541_877_000]),
        (AZURE_2024, [0, 17_336_000]),
        (MOONCAKE, [0, 3_052_000_000, 3_052_250_000]),
        (b"arrived_at,num_prefill_tokens\n0.5,3\n0.500000001,4\n", [0, 1]),
        (b"Timestamp,Model,Log Type\n5,ChatGPT,API log\n45,GPT-4,API log\n", [0, 40_000_000_000]),
        (b"model,due_ns\nx,1000000000000000001\nx,1000000000000000003\n", [0, 2]),
        (b'id,arrival_ms\n"a\nb, c",1.5\n\nd,1e1\n', [0, 8_500_000]),
        (b"\xef\xbb\xbf timestamp ,x\r\n1700000000.000000001,1\r\n1700000000.000000002,1\r\n", [0, 1]),
        (b'{"arrival_s": "2024-01-01T00:00:00Z"}\n{"arrival_s": "2024-01-01T00:00:01.5Z"}', [0, 1_500_000_000]),
        (b"arrival_us\n7\n", [0]),
        ('{"timestamp": 1, "text": "two\u2028lines"}\n{"timestamp": 2}\n'.encode(), [0, 1_000_000]),
    ],
)
def test_a_trace_is_read_to_the_nanosecond(data: bytes, expected_ns: list[int]) -> None:
    """From its first row on, in the units of its column, whatever else the rows hold."""
    arrivals_ns = read_trace(data, "june")
    assert arrivals_ns.tolist() == expected_ns
    assert arrivals_ns.dtype == np.int64


@pytest.mark.parametrize("column", COLUMNS, ids=lambda column: f"{column.name} in {column.unit}")
def test_every_known_column_counts_in_its_unit(column: object) -> None:
    """A second apart in any unit is a second apart, in each kind of file that may hold the column."""
    assert isinstance(column, type(COLUMNS[0]))
    one_second = 1_000_000_000 // column.unit_ns
    assert {"ns": 1, "us": 10**3, "ms": 10**6, "s": 10**9}[column.unit] == column.unit_ns
    for kind in column.kinds:
        row = f'{{"{column.name}": %d}}\n' if kind == "JSON lines" else "%d\n"
        head = "" if kind == "JSON lines" else f"{column.name}\n"
        data = head + row % (3 * one_second) + row % (4 * one_second)
        assert read_trace(data.encode(), "june").tolist() == [0, 1_000_000_000]


@pytest.mark.parametrize(
    ("data", "line", "message"),
    [
        (b"", None, "has no arrivals"),
        (b"\n \n", 2, "no column is known"),
        (b"arrival_s,x\n", None, "has no arrivals"),
        (b"0.5\n0.7\n", 1, "no column is known to hold times of arrival among: 0.5"),
        (b"time_of_day,x\n1,2\n", 1, "no column is known to hold times of arrival among: time_of_day, x"),
        (b'{"when": 1}\n', 1, "no column is known"),
        (b"arrival_s\n1\n2\n1.5\n", 4, "arrival_s '1.5' is 500,000,000 ns earlier than the arrival before it"),
        (b'{"timestamp": 2}\n\n{"timestamp": 1}\n', 3, "timestamp '1' is 1,000,000 ns earlier"),
        (b"arrival_s\n1\nnan\n", 3, "arrival_s 'nan' is not a number"),
        (b"arrival_s\ninf\n", 2, "arrival_s 'inf' is not a number"),
        (b'{"timestamp": NaN}\n', 1, "timestamp 'NaN' is not a number"),
        (b'{"timestamp": -Infinity}\n', 1, "timestamp '-Infinity' is not a number"),
        (b"arrival_s\n-0.001\n", 2, "arrival_s '-0.001' is negative"),
        (b"arrival_s\n1e99999999999\n", 2, "arrival_s '1e99999999999' is too late"),
        (b"arrival_s\n4611686019\n", 2, "is too late"),
        (b"arrival_s\nsoon\n", 2, "arrival_s 'soon' is not a time"),
        (b"x,arrival_s\n1,\n", 2, "arrival_s '' is not a time"),
        (b"x,arrival_s\n1\n", 2, "has too few values"),
        (b"arrival_s\n2024-02-30 00:00:00\n", 2, "is no date and time of the calendar"),
        (b'{"timestamp": true}\n', 1, "timestamp 'True' is not a time"),
        (b'{"timestamp": null}\n', 1, "timestamp 'None' is not a time"),
        (b'{"timestamp": [1]}\n', 1, "is not a time"),
        (b'{"timestamp": 1}\n{"arrival_s": 2}\n', 2, "has no timestamp"),
        (b'{"timestamp": 1}\n[2]\n', 2, "is not a JSON object"),
        (b'{"timestamp": 1}\n{"timestamp": 2\n', 2, "JSON syntax: Expecting ',' delimiter"),
        (b'{"timestamp": 1, "x": ' + b"[" * 99_999 + b"\n", 1, "JSON syntax"),
        (b"arrival_s\n1\n\xff\n", 3, "is not UTF-8 text"),
        (b'arrival_s,x\n1,"' + b"y" * 200_000 + b'"\n', 2, "CSV syntax: field larger than field limit"),
    ],
)
def test_what_is_wrong_with_a_trace_is_told_with_its_line(data: bytes, line: int | None, message: str) -> None:
    """The first wrong row stops the reading: where it is, what was found and what would be right."""
    problem = problem_of(data)
    assert problem.message.startswith(message) or message in problem.message
    assert problem.line == line


def test_a_wrong_value_is_told_with_what_would_be_right() -> None:
    """In words, and for a misspelt column with the nearest one that is known."""
    assert str(problem_of(b"arrival_s\n2\n1\n")).endswith("; allowed: rows in the order of their arrival")
    assert "allowed: a number of at least 0, or a date and time such as" in str(problem_of(b"arrival_s\nnan\n"))
    assert problem_of(b"arival_s\n1\n").suggestion == "arrival_s"
    assert "arrived_at" in str(problem_of(b"x\n1\n"))


def test_a_long_wrong_value_is_cut_in_the_message() -> None:
    """An error stays readable whatever the file holds."""
    assert len(str(problem_of(b"arrival_s\n" + b"z" * 5_000 + b"\n"))) < 400


def test_more_rows_than_can_be_planned_are_refused_at_the_first_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the limit lowered to 3 rows, the fourth is named."""
    monkeypatch.setattr(trace, "MAX_PLANNED_REQUESTS", 3)
    assert len(read_trace(b"arrival_s\n1\n1\n1\n", "june")) == 3
    problem = problem_of(b"arrival_s\n1\n1\n1\n1\n")
    assert (problem.line, problem.message, problem.allowed) == (5, "has too many rows", "at most 3")


def test_the_first_known_column_of_the_table_is_taken() -> None:
    """Not the first of the file: a samples file with several times is read by its due times."""
    assert read_trace(b"timestamp,due_ns\n5,10\n6,20\n", "june").tolist() == [0, 10]
