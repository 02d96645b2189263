"""Every benchmark's rows become problems whose references pass and whose wrong fills fail."""

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from coda_model.errors import CodaError
from coda_model.evaluate.benchmarks import BENCHMARKS
from coda_model.evaluate.datafiles import fetch, read_rows
from coda_model.evaluate.literals import restore_types
from coda_model.evaluate.problems import PrintTests, Problem, same_print
from coda_model.evaluate.prompts import Prompts
from coda_model.evaluate.sandbox.run import Sandbox
from tests.coda_model.evaluate.samples import ROWS

WRONG = ("", "pass", "    return None\n", "xx", "print('odd')", "False:")


def problems(name: str, style: str = "base") -> list[Problem]:
    return BENCHMARKS[name].read(ROWS[name], Prompts("chat" if style == "chat" else "base"))


def passes(problem: Problem, fill: str, sandbox: Sandbox) -> bool:
    assert problem.tests is not None
    return all(verdict == "pass" for verdict in problem.tests.run(problem.program(fill), sandbox).values())


def test_there_are_rows_for_every_benchmark() -> None:
    assert ROWS.keys() == BENCHMARKS.keys()


@pytest.mark.parametrize("name", [name for name in BENCHMARKS if BENCHMARKS[name].groups])
def test_references_pass_and_wrong_fills_fail(name: str, sandbox: Sandbox) -> None:
    for problem in problems(name):
        assert passes(problem, problem.reference, sandbox), problem.id
        for fill in WRONG:
            assert not passes(problem, fill, sandbox), (problem.id, fill)


def test_the_tests_do_not_trust_helpers_of_the_code_under_test(sandbox: Sandbox) -> None:
    """A solution that bends the prompt's helper, which the tests use too, gets nowhere."""
    problem = problems("humaneval")[1]
    assert not passes(problem, "    return 0\n\n\ndef square(x):\n    return 0\n", sandbox)


def test_both_groups_of_the_plus_benchmarks_are_told_apart(sandbox: Sandbox) -> None:
    (problem,) = problems("mbpp+")
    assert problem.tests is not None
    verdicts = problem.tests.run("def falling(pairs):\n    return [(2, 1)]\n", sandbox)
    assert verdicts["base"] == "pass"
    assert verdicts["plus"] == "AssertionError: input 0 gives a wrong output"


def test_holes_of_lines_leave_the_line_end_to_the_suffix() -> None:
    (problem,) = problems("humaneval-infilling-single-line")
    assert problem.single_line
    assert problem.reference == "    loud = text.upper()"
    assert problem.suffix.startswith("\n    return")
    (block,) = problems("humaneval-infilling-multi-line")
    assert not block.single_line
    assert block.reference.count("\n") == 1
    (line,) = problems("santacoder-fim")
    assert line.program(line.reference).split("\n")[2:] == ["    loud = text.upper()", "x", ""]


def test_mbpp_takes_its_test_split_and_three_examples() -> None:
    (problem,) = problems("mbpp")
    assert problem.id == "MBPP/11"
    assert problem.prefix.count("[BEGIN]") == 4
    assert problem.prefix.endswith("[BEGIN]\n")


def test_chat_prompts_open_the_answer_in_a_fence() -> None:
    for name in ("humaneval", "mbpp", "mbpp+"):
        prefix = problems(name, "chat")[0].prefix
        assert prefix.startswith("<|im_start|>user\n")
        assert "<|im_end|>\n<|im_start|>assistant\nHere is the completed function:\n```python\n" in prefix


@pytest.mark.parametrize(
    ("assertions", "inputs", "expected"),
    [
        ("assert f([(1, 2)]) == 1", [[[[3, 4], [5, 6]]]], [[[(3, 4), (5, 6)]]]),
        ("assert f((1, (2, 3))) == 1", [[[1, [2, [3, [4]]]]]], [[(1, (2, (3, (4,))))]]),
        ("assert f({1, 2}, 'a') == 1", [[[3], "b"]], [[{3}, "b"]]),
        ("assert f(complex(1, 2)) == 1", [["3j"]], [[3j]]),
        ("assert f(1.5) == 1", [[[1]], ["text"]], [[[1]], ["text"]]),
        ("assert f([1, 2]) == 1", [[[1, 2]], [[]]], [[[1, 2]], [[]]]),
        ("assert f({'a': (1,)}) == 1", [[{"b": [2, 3]}]], [[{"b": (2, 3)}]]),
        ("assert g(1) == 1", [[[1]]], [[[1]]]),
    ],
)
def test_types_come_back_from_the_assertions(assertions: str, inputs: list, expected: list) -> None:
    restored = restore_types(inputs, "f", assertions)
    assert restored == expected
    assert repr(restored) == repr(expected)


@pytest.mark.parametrize(
    ("output", "right", "same"),
    [
        ("1 2\n3", "1\n2  3\n", True),
        ("YES", "Yes", True),
        ("0.3333333", "0.33333334", True),
        ("0.33", "0.34", False),
        ("3", "3.0", True),
        ("10000000000000001", "10000000000000000", False),
        ("1", "1 1", False),
        ("a", "b", False),
    ],
)
def test_printed_outputs_are_compared_tolerantly(output: str, right: str, same: bool) -> None:
    assert same_print(output, right) is same


def test_any_of_several_outputs_is_right(sandbox: Sandbox) -> None:
    tests = PrintTests((("", ("1", "2")),))
    assert tests.run("print(2)", sandbox) == {"tests": "pass"}
    assert tests.run("print(3)", sandbox) == {"tests": "input 0 gives a wrong output"}


def test_rows_come_from_the_hub_by_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The Hub's form differs: Parquet, all languages in one, tests as a JSON text."""
    (row,) = ROWS["safim-control"]
    rows = [row | {"lang": lang, "unit_tests": json.dumps(row["unit_tests"])} for lang in ("python", "java")]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "0000.parquet")
    asked: list[object] = []

    def download(repo: str, name: str, repo_type: str, revision: str) -> str:
        asked.append((repo, name, repo_type, revision))
        return str(tmp_path / "0000.parquet")

    monkeypatch.setattr("huggingface_hub.hf_hub_download", download)
    benchmark = BENCHMARKS["safim-control"]
    path = fetch(benchmark.hub, benchmark.name)
    (problem,) = benchmark.read(read_rows(path, benchmark.columns), Prompts())
    assert problem == problems("safim-control")[0]
    assert asked == [("gonglinyuan/safim", "control/test/0000.parquet", "dataset", "refs/convert/parquet")]


def test_without_the_hub_the_sentence_names_the_option(monkeypatch: pytest.MonkeyPatch) -> None:
    def download(*arguments: object, **options: object) -> str:
        raise OSError("no route to the Hub")

    monkeypatch.setattr("huggingface_hub.hf_hub_download", download)
    for name in ("mbpp", "mbpp+"):
        with pytest.raises(CodaError, match="--data"):
            fetch(BENCHMARKS[name].hub, name)


def test_damaged_files_are_one_sentence(write_rows: Callable[..., Path], tmp_path: Path) -> None:
    whole = write_rows([{"task_id": "a", "prompt": "b" * 400}])
    cut = tmp_path / "cut.jsonl.gz"
    cut.write_bytes(whole.read_bytes()[:-12])
    lines = tmp_path / "lines.jsonl"
    lines.write_text('{"a": 1}\nno json\n')
    (tmp_path / "none.jsonl").write_text("")
    for path, message in (
        (cut, "truncated"),
        (lines, "one JSON object a line"),
        (tmp_path / "none.jsonl", "no rows"),
        (tmp_path / "absent.jsonl", "There is no file"),
        (tmp_path, "folder"),
    ):
        with pytest.raises(CodaError, match=message):
            read_rows(path, ())
    with pytest.raises(CodaError, match="another schema: row 1 lacks test"):
        read_rows(whole, ("task_id", "test"))
