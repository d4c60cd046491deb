"""An error as a person reads it: what, where, what would be right."""

from shared.errors import AttemptFailed, InferBenchError, Problem


def error_lines(error: InferBenchError, source: str = "") -> list[str]:
    """``error: what (code)``, then one line for each problem. ``source`` is the file that the problems are in.

    Where the detail only says what the problems say, the title stands in for it.
    """
    repeats = any(problem.message in error.detail for problem in error.problems)
    what = error.title if repeats else error.detail
    first, *rest = what.splitlines()
    lines = [f"error: {first} ({error.code})", *rest]
    lines += [f"  {problem_line(problem, source)}" for problem in error.problems]
    if isinstance(error, AttemptFailed) and error.log_tail:
        lines += ["the end of its log:", error.log_tail]
    return lines


def problem_line(problem: Problem, source: str = "") -> str:
    """``job.yaml:3:7: workload.rate: must be greater than 0; found -1; allowed: > 0; did you mean 'rate'?``."""
    place = ":".join(str(part) for part in (source, problem.line, problem.column) if part not in (None, ""))
    said = ": ".join(part for part in (place, problem.path, problem.message) if part)
    hints = (
        f"found {problem.found}" if problem.found is not None and problem.found not in said else "",
        f"allowed: {problem.allowed}" if problem.allowed else "",
        f"did you mean {problem.suggestion!r}?" if problem.suggestion else "",
    )
    return "; ".join([said, *(hint for hint in hints if hint)])
