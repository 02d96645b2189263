"""What is said of one fill: exact match, edit similarity, syntax validity, and the two floors beside it."""

import ast
import warnings

from rapidfuzz.fuzz import ratio

from coda_model.evaluate.languages import syntax_errors
from coda_model.evaluate.problems import Problem

FLOORS = ("empty", "copy")


def exact_match(fill: str, reference: str, single_line: bool) -> bool:
    """Of a single-line hole the first lines, stripped; of a block all lines, trailing white space dropped."""
    if single_line:
        return _first_line(fill) == _first_line(reference)
    return _lines(fill) == _lines(reference)


def _first_line(text: str) -> str:
    return text.strip().partition("\n")[0].strip()


def _lines(text: str) -> list[str]:
    return [line.rstrip() for line in text.strip().split("\n")]


def edit_similarity(fill: str, reference: str) -> float:
    """RapidFuzz' normalised Indel similarity of the stripped texts, from 0 to 1; other libraries differ by points."""
    return ratio(fill.strip(), reference.strip()) / 100


def needs_fill(problem: Problem) -> bool:
    """Whether prefix and suffix alone do not parse, so that a fill can make the difference."""
    return not parses(problem, "")


def parses(problem: Problem, fill: str) -> bool:
    """Python: the whole text is a module. Other languages: the fill adds no error node to the reference's text."""
    text = problem.program(fill)
    if problem.language == "python":
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", SyntaxWarning)
                ast.parse(text)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return False
        return True
    return syntax_errors(text, problem.language) <= syntax_errors(problem.program(problem.reference), problem.language)


def floor_fill(prefix: str, floor: str) -> str:
    """What costs no model: nothing, or the line before the hole's that is not blank (stripped where the hole begins
    within a line)."""
    if floor == "empty":
        return ""
    *above, current = prefix.split("\n")
    line = next((line.rstrip() for line in reversed(above) if line.strip()), "")
    return line.strip() if current else line
