"""The benchmarks: their rows as problems. Each reader knows one schema, and nothing of models."""

import ast
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from coda_model.errors import CodaError
from coda_model.evaluate.datafiles import HubRows, Row
from coda_model.evaluate.literals import restore_types
from coda_model.evaluate.problems import CallTests, PrintTests, Problem
from coda_model.evaluate.prompts import Prompts
from coda_model.evaluate.sandbox.guest import wire

# Where EvalPlus (arXiv 2305.01210) found that more than one output is right: see `sandbox.guest.oracle`.
_RULES = {
    "find_zero": "root",
    "are_equivalent": "any",
    "sum_div": "or zero",
    "surface_Area": "pyramid",
    "digit_distance_nums": "padded digits",
} | dict.fromkeys(("check_str", "text_match_three", "text_starta_endb"), "found") | dict.fromkeys(
    ("similar_elements", "find_char_long", "common_in_nested_lists", "extract_singly", "larg_nnum",
     "intersection_array", "find_dissimilar", "Diff"), "set"
)  # fmt: skip


@dataclass(frozen=True)
class Benchmark:
    """A task of `coda-model eval`: what its rows must hold, how they become problems, and where they come from.

    `groups` names its groups of tests, each of which counts only together with those before it; without any the score
    is exact match. `time_limit_s` leaves the slowest reference room on a busy machine.
    """

    name: str
    about: str
    columns: tuple[str, ...]
    read: Callable[[list[Row], Prompts], list[Problem]]
    groups: tuple[str, ...] = ("tests",)
    hub: HubRows | None = None
    generates: bool = False
    time_limit_s: float = 15.0


def _check_call(row: Row, reference: str) -> CallTests:
    """HumanEval's `check(candidate)`. The tests see the reference's helpers, never those of the code under test."""
    name = row["entry_point"]
    code = f"{row['test']}\ncheck({name})"
    return CallTests((name,), reference, {"tests": {"code": code}}, name)


def _plus_call(row: Row) -> CallTests:
    """EvalPlus' inputs, whose outputs are compared with the reference's."""
    return CallTests((row["entry_point"],), row["prompt"] + row["canonical_solution"], _inputs(row), row["entry_point"])


def _function(row: Row, prompts: Prompts, tests: CallTests) -> Problem:
    """The body of HumanEval's function, whose signature and docstring stand before it."""
    return Problem(
        id=row["task_id"],
        cluster=row["task_id"],
        prefix=prompts.continue_code(row["prompt"]),
        suffix="",
        reference=row["canonical_solution"],
        head=row["prompt"],
        tail="",
        prompting="generate",
        tests=tests,
        ends=prompts.ends_of_function,
    )


def _humaneval(rows: list[Row], prompts: Prompts) -> list[Problem]:
    return [_function(row, prompts, _check_call(row, row["prompt"] + row["canonical_solution"])) for row in rows]


def _humaneval_plus(rows: list[Row], prompts: Prompts) -> list[Problem]:
    return [_function(row, prompts, _plus_call(row)) for row in rows]


def _inputs(row: Row) -> dict[str, dict[str, Any]]:
    name = row["entry_point"]
    groups = {}
    for group, column in (("base", "base_input"), ("plus", "plus_input")):
        inputs = row[column]
        if "assertion" in row:
            inputs = restore_types(inputs, name, row["assertion"])
        encoded = [wire.encode(list(arguments), _no_object) for arguments in inputs]
        groups[group] = {"inputs": encoded, "tolerance": row["atol"], "rule": _RULES.get(name, "")}
    return groups


def _no_object(value: Any) -> int:
    raise CodaError(f"An input of the benchmark is a {type(value).__name__}, which is no plain value.")


def _mbpp(rows: list[Row], prompts: Prompts) -> list[Problem]:
    examples = sorted((row for row in rows if row["task_id"] <= 10), key=lambda row: row["task_id"])[:3]
    shots = [(row["text"], row["test_list"], row["code"]) for row in examples]
    problems = []
    for row in rows:
        if not 11 <= row["task_id"] <= 510:  # the test split
            continue
        imports, names = _definitions(row["code"])
        tests = "\n".join([row["test_setup_code"], *row["test_list"]])
        problems.append(
            Problem(
                id=f"MBPP/{row['task_id']}",
                cluster=str(row["task_id"]),
                prefix=prompts.solve(row["text"], row["test_list"], shots),
                suffix="",
                reference=row["code"],
                head="",
                tail="",
                prompting="generate",
                tests=CallTests(names, imports, {"tests": {"code": tests}}),
                ends=prompts.ends_of_answer,
            )
        )
    return problems


def _definitions(code: str) -> tuple[str, tuple[str, ...]]:
    """The import statements of a program, and the names it defines: what tests may use of it."""
    body = ast.parse(code).body
    imports = [node for node in body if isinstance(node, ast.Import | ast.ImportFrom)]
    names = [node.name for node in body if isinstance(node, ast.FunctionDef | ast.ClassDef)]
    for node in body:
        if isinstance(node, ast.Assign):
            names += [target.id for target in node.targets if isinstance(target, ast.Name)]
    return "\n".join(map(ast.unparse, imports)), tuple(names)


def _mbpp_plus(rows: list[Row], prompts: Prompts) -> list[Problem]:
    return [
        Problem(
            id=row["task_id"],
            cluster=row["task_id"],
            prefix=prompts.solve_docstring(row["prompt"]),
            suffix="",
            reference=row["canonical_solution"],
            head="",
            tail="",
            prompting="generate",
            tests=_plus_call(row),
            ends=prompts.ends_of_answer,
        )
        for row in rows
    ]


def _lines(single_line: bool) -> Callable[[list[Row], Prompts], list[Problem]]:
    """Holes of whole lines. As in an editor, the line's end stays behind the cursor and is not part of the hole."""

    def read(rows: list[Row], prompts: Prompts) -> list[Problem]:
        problems = []
        for row in rows:
            whole = row["canonical_solution"]
            reference = whole.removesuffix("\n")
            suffix = whole[len(reference) :] + row["suffix"]
            problems.append(_hole(row, reference, suffix, single_line))
        return problems

    return read


def _spans(rows: list[Row], prompts: Prompts) -> list[Problem]:
    return [_hole(row, row["canonical_solution"], row["suffix"], single_line=False) for row in rows]


def _hole(row: Row, reference: str, suffix: str, single_line: bool) -> Problem:
    return Problem(
        id=row["task_id"],
        cluster=row["entry_point"],
        prefix=row["prompt"],
        suffix=suffix,
        reference=reference,
        head=row["prompt"],
        tail=suffix,
        single_line=single_line,
        tests=_check_call(row, row["prompt"] + reference + suffix),
    )


def _santacoder(rows: list[Row], prompts: Prompts) -> list[Problem]:
    """The Python rows; they are split at line ends, and these belong to neither part."""
    problems = []
    for row in rows:
        if row.get("language", "py") != "py":
            continue
        head, tail = row["prompt"].removesuffix("\n") + "\n", "\n" + row["suffix"].removeprefix("\n")
        problems.append(
            Problem(
                id=row["name"],
                cluster=row["name"].rsplit("-L", 1)[0],
                prefix=head,
                suffix=tail,
                reference=row["canonical_solution"],
                head=head,
                tail=tail,
                single_line=True,
            )
        )
    return problems


def _safim(single_line: bool) -> Callable[[list[Row], Prompts], list[Problem]]:
    def read(rows: list[Row], prompts: Prompts) -> list[Problem]:
        problems = []
        for row in rows:
            if row.get("lang", "python") != "python":
                continue
            head, mark, tail = row["eval_prompt"].partition("{{completion}}")
            if not mark:
                raise CodaError(f"The row {row['task_id']} has no {{{{completion}}}} in its eval_prompt.")
            tests = row["unit_tests"]
            if isinstance(tests, str):  # as the Hub has them
                tests = json.loads(tests)
            cases = tuple((case["input"], tuple(case["output"])) for case in tests)
            problems.append(
                Problem(
                    id=row["task_id"],
                    cluster=row["task_id"],
                    prefix=head,
                    suffix=tail,
                    reference=row["ground_truth"],
                    head=head,
                    tail=tail,
                    single_line=single_line,
                    tests=PrintTests(cases) if cases else None,
                )
            )
        return problems

    return read


_CHECKED = ("task_id", "entry_point", "prompt", "canonical_solution", "test")
_INFILLING = (*_CHECKED, "suffix")
_PLUS = ("task_id", "entry_point", "prompt", "canonical_solution", "base_input", "plus_input", "atol")
_SAFIM = ("task_id", "eval_prompt", "ground_truth", "unit_tests")

BENCHMARKS = {
    benchmark.name: benchmark
    for benchmark in (
        Benchmark(
            "humaneval", "functions from their docstrings", _CHECKED, _humaneval, generates=True,
            hub=HubRows("openai/openai_humaneval", "openai_humaneval"),
        ),
        Benchmark(
            "humaneval+", "the same with EvalPlus' inputs", _PLUS, _humaneval_plus, ("base", "plus"), generates=True,
            time_limit_s=60,
        ),
        Benchmark(
            "mbpp", "short functions from a sentence and three tests",
            ("task_id", "text", "code", "test_list", "test_setup_code"), _mbpp, generates=True,
            hub=HubRows("google-research-datasets/mbpp", "full"),
        ),
        Benchmark(
            "mbpp+", "the same with EvalPlus' inputs; `base` is what the paper's column ran", (*_PLUS, "assertion"),
            _mbpp_plus, ("base", "plus"), generates=True, time_limit_s=60,
        ),
        Benchmark(
            "humaneval-infilling-single-line", "one line of a solution", _INFILLING, _lines(True),
            hub=HubRows("loubnabnl/humaneval_infilling", "HumanEval-SingleLineInfilling"),
        ),
        Benchmark(
            "humaneval-infilling-multi-line", "some lines of a solution", _INFILLING, _lines(False),
            hub=HubRows("loubnabnl/humaneval_infilling", "HumanEval-MultiLineInfilling"),
        ),
        Benchmark(
            "humaneval-infilling-random-span", "any span of a solution", _INFILLING, _spans,
            hub=HubRows("loubnabnl/humaneval_infilling", "HumanEval-RandomSpanInfilling"),
        ),
        Benchmark(
            "santacoder-fim", "one line of a solution, by exact match",
            ("name", "prompt", "suffix", "canonical_solution"), _santacoder, (),
            hub=HubRows("bigcode/santacoder-fim-task", "default", "train"),
        ),
        Benchmark(
            "safim-block", "a block of a program", _SAFIM, _safim(False), time_limit_s=30,
            hub=HubRows("gonglinyuan/safim", "block"),
        ),
        Benchmark(
            "safim-control", "a condition or loop's head of a program", _SAFIM, _safim(True), time_limit_s=30,
            hub=HubRows("gonglinyuan/safim", "control"),
        ),
        Benchmark(
            "safim-api", "a call into a library, by exact match", _SAFIM, _safim(True), (),
            hub=HubRows("gonglinyuan/safim", "api"),
        ),
    )
}  # fmt: skip
