"""Whether Python takes the code around a fill, whatever stands further away."""

import ast
import warnings

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coda_model.python_block import PythonBlock

METHODS = "".join(
    f"    @cached\n    def method_{n}(self):\n        return [\n            {n},\n        ]\n\n" for n in range(200)
)
LINES = "    total = total + 1\n" * 400


@pytest.mark.parametrize(
    ("before", "after", "takes", "refuses"),
    [
        ("def f():\n", "    return 1\n", "    x = 2\n", "    try:\n"),
        ("def f():\n    if x:\n", "    return 1\n", "        y()\n", "    y()\n"),
        ("def f():\n", "    return 1\n", "    x = 2\n", "   x = 2\n"),
        ("def f():\n    try:\n        x()\n", "        y()\n", "    except ValueError:\n", "    else:\n"),
        ("x = f(", ")\n", "1, b=2", "b=2, 1"),
        ("try:\n    x()\nexcept ValueError:\n    ", "\nelse:\n    y()\n", "pass", "pass\nx"),
        ("y = (\n\ndef f():\n    return ", "\n\nz = (\n", "1", "try"),  # errors of other statements
        ("class A:\n" + METHODS + "    def last(self):\n", METHODS, "        return 1\n", "    return 1\n"),
        ("if x:\n" + LINES, LINES, "    y()\n", "    try:\n"),
        ("for a in b:\n    if c:\n" + LINES.replace("    ", "\t\t"), "\n", "\t\ty()", "\t\ttry:"),
        ("", "", "x", "return ="),
        ("def f(a):\n    x()\n", "\n", "    return a", "return a"),
        ("def f(", "):\n    pass\n", "a, b", "a, a"),
        ("f(a=1, ", ")\n", "b=2", "a=2"),
        ("def f():\n    if x:\n        ", "\n", "return", "break"),
        ("def f():\n" + LINES, LINES, "    await y()\n    return\n", "    break\n"),
        ("", "    x = 1\n", "if y:\n", "y\n"),
    ],
)
def test_what_python_takes(before: str, after: str, takes: str, refuses: str) -> None:
    block = PythonBlock([before, after])
    assert block.parse([takes])
    assert block.parse([refuses]) is None


def test_several_holes() -> None:
    block = PythonBlock(["def f(", "):\n    return ", "\n"])
    assert block.parse(["a, b", "a"])
    assert block.parse(["a, b", ")"]) is None


@pytest.mark.parametrize("fill", ["\0", "(" * 2000, "'\\d'", "\ud800"])
def test_odd_fills_are_answered_without_a_warning(fill: str) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        PythonBlock(["x = ", "\n"]).parse([fill])
    assert not caught


STATEMENTS = st.sampled_from(["x = 1\n", "if x:\n    y()\n", "def f():\n    return 1\n", "# note\n", "\n"])


@given(st.lists(STATEMENTS), st.data())
def test_a_short_document_parses_as_a_whole_does(statements: list[str], data: st.DataObject) -> None:
    text = "".join(statements)
    cut = data.draw(st.integers(0, len(text)))
    ast.parse(text)
    assert PythonBlock([text[:cut], text[cut:]]).parse([""])
