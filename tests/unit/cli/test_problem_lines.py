"""Errors as a person reads them."""

from cli.problems import error_lines, problem_line
from shared.errors import AttemptFailed, InvalidJobFile, InvalidModel, NotFound, Problem
from shared.jobs.lifecycle import Cause


def test_a_problem_names_its_place_as_compilers_do() -> None:
    """File, line, column and path, then what would be right."""
    problem = Problem(
        message="unknown key", path="servce", line=5, column=1, found="servce", allowed="model, service",
        suggestion="service",
    )  # fmt: skip
    assert problem_line(problem, "job.yaml") == (
        "job.yaml:5:1: servce: unknown key; allowed: model, service; did you mean 'service'?"
    )


def test_what_was_found_is_told_where_the_message_does_not() -> None:
    """A value is quoted once."""
    problem = Problem(message="must be above 0", path="workload.rate", line=3, column=7, found="-1")
    assert problem_line(problem) == "3:7: workload.rate: must be above 0; found -1"


def test_a_problem_without_a_place_has_none_invented() -> None:
    """A setting has a name, but no line."""
    assert problem_line(Problem(message="no such setting", path="INFERBENCH_X")) == "INFERBENCH_X: no such setting"


def test_every_problem_of_a_job_file_is_told() -> None:
    """All at once, beneath a heading with the stable code."""
    problems = [Problem(message="first fault"), Problem(message="second fault")]
    assert error_lines(InvalidJobFile("2 problems; first fault", problems=problems), "j.yaml") == [
        "error: The job file is not valid (invalid-job-file)",
        "  j.yaml: first fault",
        "  j.yaml: second fault",
    ]


def test_a_detail_that_says_more_than_its_problems_is_kept() -> None:
    """The heading is the title only where the detail would be said twice."""
    error = InvalidModel("The card and the model file disagree", problems=[Problem(message="opset is 13")])
    assert error_lines(error)[0] == "error: The card and the model file disagree (invalid-model)"


def test_an_error_says_its_detail_and_its_code() -> None:
    """The code is what a script or a search can hold on to."""
    assert error_lines(NotFound("no run j-1.0000")) == ["error: no run j-1.0000 (not-found)"]


def test_the_code_stands_in_the_first_line_of_a_long_story() -> None:
    """A log's tail that comes with the detail follows it."""
    assert error_lines(NotFound("it died; its log:\nline 1\nline 2")) == [
        "error: it died; its log: (not-found)",
        "line 1",
        "line 2",
    ]


def test_a_failed_attempt_shows_the_end_of_its_log() -> None:
    """The log's tail is the first thing anybody would look for."""
    failed = AttemptFailed(Cause.SERVER_DIED, "the server died", log_tail="Segmentation fault")
    assert error_lines(failed)[-1] == "Segmentation fault"
