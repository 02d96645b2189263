"""What a row's fill is worth: its measures, its tests' verdicts, and the same of the two floors."""

from typing import Any

from coda_model.evaluate.measures import FLOORS, edit_similarity, exact_match, floor_fill, needs_fill, parses
from coda_model.evaluate.problems import Problem
from coda_model.evaluate.sandbox.run import Sandbox


def score(problem: Problem, fill: str, sandbox: Sandbox | None) -> dict[str, Any]:
    """The verdicts on a fill and on the floors' fills: see `verdicts`. The sandbox may be None where nothing is run."""
    known: dict[str, dict[str, Any]] = {}

    def judge(text: str) -> dict[str, Any]:
        if text not in known:
            known[text] = verdicts(problem, text, sandbox)
        return known[text]

    row = judge(fill)
    return row | {"floors": {floor: judge(floor_fill(problem.prefix, floor)) for floor in FLOORS}}


def verdicts(problem: Problem, fill: str, sandbox: Sandbox | None) -> dict[str, Any]:
    """`exact`, `similarity` and `parses` (None where they say nothing), and `tests`: "pass" or a reason, by group."""
    infilling = problem.prompting == "infill"
    tests = {}
    if problem.tests is not None:
        assert sandbox is not None, "a task with tests has a sandbox"
        tests = problem.tests.run(problem.program(fill), sandbox)
    return {
        "exact": exact_match(fill, problem.reference, problem.single_line) if infilling else None,
        "similarity": edit_similarity(fill, problem.reference) if infilling else None,
        "parses": parses(problem, fill) if infilling and needs_fill(problem) else None,
        "tests": tests,
    }
