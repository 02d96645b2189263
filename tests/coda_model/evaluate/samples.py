"""Small problems of our own in the schema of every benchmark: right solutions pass them, wrong ones do not."""

from typing import Any

_PROMPT = 'def shout(text: str) -> str:\n    """Upper case, with a bang."""\n'
_BODY = "    loud = text.upper()\n    return loud + '!'\n"
_CHECK = "def check(candidate):\n    assert candidate('a') == 'A!'\n    assert candidate('') == '!'\n"
_CHECKED = {"task_id": "Own/1", "entry_point": "shout", "prompt": _PROMPT, "canonical_solution": _BODY, "test": _CHECK}
_HELPED = {
    "task_id": "Own/2",
    "entry_point": "square_sum",
    "prompt": "def square(x):\n    return x * x\n\n\ndef square_sum(xs):\n    # the sum of the squares\n",
    "canonical_solution": "    return sum(square(x) for x in xs)\n",
    "test": "def check(candidate):\n    assert candidate([1, 2]) == square(1) + square(2)\n"
    "    assert candidate([]) == 0\n",
}
_PLUS = {
    "task_id": "Mbpp/900",
    "prompt": '"""\nWrite a function that gives the pairs in which the first is larger.\n"""\n',
    "entry_point": "falling",
    "canonical_solution": "\ndef falling(pairs):\n    return [p for p in pairs if p[0] > p[1] and type(p) is tuple]\n",
    "base_input": [[[[2, 1], [1, 2]]]],
    "plus_input": [[[]], [[[9, 1.5]]]],
    "atol": 0,
    "assertion": "assert falling([(2, 1), (1, 2)]) == [(2, 1)]",
}
_SAFIM = {
    "task_id": "own_1",
    "eval_prompt": "n = int(input())\r\nif {{completion}}\r\n    print('even', n / 4)\r\nelse:\r\n    print('odd')\r\n",
    "ground_truth": "n % 2 == 0:",
    "unit_tests": [{"input": "2", "output": ["Even 0.500000001"]}, {"input": "3\n", "output": ["odd\n"]}],
}
_LINE = _CHECKED | {"canonical_solution": "    loud = text.upper()\n", "suffix": "    return loud + '!'\n"}

ROWS: dict[str, list[dict[str, Any]]] = {
    "humaneval": [_CHECKED, _HELPED],
    "humaneval+": [
        _CHECKED | {"base_input": [["a"]], "plus_input": [["é"], [""]], "atol": 0},
        {
            "task_id": "Own/3", "prompt": "def find_zero(xs):\n", "entry_point": "find_zero", "atol": 1e-4,
            "canonical_solution": "    return -xs[0] / xs[1]\n", "base_input": [[[1, 2]]], "plus_input": [[[-6, 3]]],
        },
    ],
    "mbpp": [
        {
            "task_id": number, "text": "Write a function to add the values of two nodes.",
            "code": "import math\r\nclass Node:\r\n    def __init__(self, value):\r\n        self.value = value\r\n"
            "def add(a, b):\r\n    return math.fsum([a.value, b.value])",
            "test_list": ["assert add(one, Node(2)) == 3", "assert math.isclose(add(Node(0.1), Node(0.2)), 0.3)"],
            "test_setup_code": "one = Node(0)\none.value = 1",
        }
        for number in (2, 3, 4, 11, 601)
    ],
    "mbpp+": [_PLUS],
    "humaneval-infilling-single-line": [_LINE],
    "humaneval-infilling-multi-line": [_CHECKED | {"suffix": ""}],
    "humaneval-infilling-random-span": [
        _CHECKED | {"prompt": _PROMPT + "    loud = te", "canonical_solution": "xt.up", "suffix": _BODY[18:]}
    ],
    "santacoder-fim": [
        {"name": "own-L2", "prompt": _PROMPT.strip(), "canonical_solution": "    loud = text.upper()", "suffix": "x\n"}
    ],
    "safim-block": [
        _SAFIM | {
            "eval_prompt": "for word in input().split():\n    {{completion}}\n", "ground_truth": "print(word[::-1])",
            "unit_tests": [{"input": "ab cd", "output": ["ba\ndc"]}],
        }
    ],
    "safim-control": [_SAFIM],
    "safim-api": [_SAFIM | {"unit_tests": []}],
}  # fmt: skip
