"""What there is to fill, and how a fill is judged by running it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from coda_model.evaluate.sandbox.run import Sandbox

Prompting = Literal["infill", "generate"]


@dataclass(frozen=True)
class CallTests:
    """Tests that call the program's functions: see `Sandbox.run_tests` for the fields."""

    names: tuple[str, ...]
    setup: str
    groups: Mapping[str, Mapping[str, Any]]
    entry_point: str = ""

    def run(self, program: str, sandbox: Sandbox) -> dict[str, str]:
        return sandbox.run_tests(program, self.names, self.setup, self.groups, self.entry_point)


@dataclass(frozen=True)
class PrintTests:
    """Tests that run the whole program on an input; any of the outputs beside it is right."""

    cases: tuple[tuple[str, tuple[str, ...]], ...]

    def run(self, program: str, sandbox: Sandbox) -> dict[str, str]:
        for number, (text, rights) in enumerate(self.cases):
            output = sandbox.run_script(program, text)
            if output.fault:
                return {"tests": f"input {number}: {output.fault}"}
            if not any(same_print(output.text, right) for right in rights):
                return {"tests": f"input {number} gives a wrong output"}
        return {"tests": "pass"}


@dataclass(frozen=True)
class Problem:
    """A hole in a text, or a text to go on from.

    `head` + fill + `tail` is the program to run or parse; the model sees `prefix` and `suffix`. Rows of one `cluster`
    share a problem or a package and are resampled together. `reference` is what stood in the hole. Without `tests`
    nothing is run.
    """

    id: str
    cluster: str
    prefix: str
    suffix: str
    reference: str
    head: str
    tail: str
    single_line: bool = False
    prompting: Prompting = "infill"
    kind: str = ""
    language: str = "python"
    tests: CallTests | PrintTests | None = None
    ends: tuple[str, ...] = field(default=())
    """Texts at which a generated answer ends."""

    def program(self, fill: str) -> str:
        return self.head + fill + self.tail


def same_print(output: str, right: str) -> bool:
    """Equal word for word, in any case as "yes" and "no" are at Codeforces, numbers up to rounding."""
    words, expected = output.casefold().split(), right.casefold().split()
    return len(words) == len(expected) and all(map(_same_word, words, expected))


def _same_word(word: str, expected: str) -> bool:
    if word == expected:
        return True
    try:
        a, b = float(word), float(expected)
    except ValueError:
        return False
    if "." not in expected and "e" not in expected.lower():
        return a == b and abs(b) < 2**53  # whole numbers are exact; beyond that a float can't tell them apart
    return abs(a - b) <= 1e-6 * max(1.0, abs(b))
