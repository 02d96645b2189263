"""Holes are where they were asked for, inside the window, apart from each other."""

import ast
import textwrap
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coda_train.data.holes import HolesConfig, choose_holes

CODE = textwrap.dedent('''\
    """A module."""

    import os


    def name(path, *, deep=False):
        """Say it.

        More words here.
        """
        # a comment of its own
        parts = os.path.split(path)
        if deep and parts:
            return parts[0], len(parts)
        return os.path.basename(path, sep="/")


    class Thing:
        size: int = 3

        def grow(self, by):
            self.size += by * 2
            return self
    ''')
NONE = HolesConfig(line_end=0, line=0, expression=0, statement=0, block=0, documented=0, span=0, empty=0, counts=(1,))


SCRIPT = textwrap.dedent("""\
    import { read } from "./files";

    // Adds the numbers of a list.
    function total(numbers, start = 0) {
        let sum = start;
        for (const n of numbers) sum += n;
        return sum;
    }

    class Shop {
        open(door) {
            if (door.locked && this.keys[door]) {
                return door.unlock(this.keys[door], { quietly: true });
            }
        }
    }
    """)


def texts(
    config: HolesConfig, window: str = CODE, draws: int = 300, prose_end: int = 0, suffix: str = ".py"
) -> set[str]:
    """The distinct contents of holes drawn from the window."""
    holes = [h for s in range(draws) for h in choose_holes(window, config, np.random.default_rng(s), prose_end, suffix)]
    return {window[start:end] for start, end in holes}


@given(
    window=st.lists(
        st.sampled_from([*CODE.splitlines(keepends=True), "é = 'ü😀'\n", "\n", "\t", '"""', "((", "x"]), max_size=30
    ),
    seed=st.integers(0, 2**32),
    prose_end=st.integers(0, 40),
)
def test_holes_are_ordered_apart_and_inside(window: list[str], seed: int, prose_end: int) -> None:
    text = "".join(window)
    config = HolesConfig(max_chars=60)
    holes = choose_holes(text, config, np.random.default_rng(seed), min(prose_end, len(text)))
    assert bool(holes) == bool(text.strip())
    assert len(holes) <= len(config.counts)
    edges = [edge for hole in holes for edge in hole]
    assert all(a <= b for a, b in holes) and all(a[1] < b[0] for a, b in pairwise(holes))
    assert not edges or (edges[0] >= 0 and edges[-1] <= len(text))
    assert all(end - start <= 60 for start, end in holes)
    assert all(text[start:end].strip() or (start == end and text[end : end + 1] in ("\n", "")) for start, end in holes)


def test_rest_of_a_line_from_anywhere_in_it() -> None:
    found = texts(replace(NONE, line_end=1))
    assert {"ts = os.path.split(path)", "=False):", "port os"} <= found
    assert all(not text[0].isspace() or text[0] == " " for text in found)
    assert all("\n" not in text and CODE.count(text + "\n") for text in found)


def test_whole_lines() -> None:
    found = texts(replace(NONE, line=1))
    line = "        return self"
    assert {line, line + "\n", line.strip(), line.strip() + "\n"} <= found
    assert {text.strip() for text in found} <= {text.strip() for text in CODE.splitlines()}


def test_expressions() -> None:
    found = texts(replace(NONE, expression=1))
    expected = {"os.path.split(path)", "path", "deep and parts", "parts[0], len(parts)", "by * 2", "self", "3", '"/"'}
    assert expected <= found
    for text in found - {'path, sep="/"'}:
        ast.parse(text, mode="eval")


def test_statements() -> None:
    found = texts(replace(NONE, statement=1))
    assert {"import os", "self.size += by * 2", "return parts[0], len(parts)"} <= found
    assert any(text.startswith("def grow") for text in found) and not any(text.startswith("def name") for text in found)
    for text in found:
        ast.parse(text if not text.startswith("return") else f"def f():\n {text}")


def test_blocks() -> None:
    found = texts(replace(NONE, block=1))
    inner = "self.size += by * 2\n        return self"
    assert {inner, "\n        " + inner, "return parts[0], len(parts)"} <= found


def test_documented_bodies_come_after_the_words_that_tell_what_they_do() -> None:
    body = CODE[CODE.index("parts = ") : CODE.index("\n\n\nclass")]
    assert {text.lstrip() for text in texts(replace(NONE, documented=1))} == {body}
    script = SCRIPT[SCRIPT.index("let sum") : SCRIPT.index("\n}\n\nclass")]
    assert {text.lstrip() for text in texts(replace(NONE, documented=1), SCRIPT, suffix=".js")} == {script}


@pytest.mark.parametrize("suffix", [".js", ".ts", ".tsx", ".mjs"])
def test_holes_of_javascript_and_typescript(suffix: str) -> None:
    expressions = texts(replace(NONE, expression=1), SCRIPT, suffix=suffix)
    assert {"start", "numbers"} & expressions and "door.locked && this.keys[door]" in expressions
    assert {"this.keys[door], { quietly: true }", "quietly: true", "true", "door"} <= expressions
    assert {"let sum = start;", "return sum;"} <= texts(replace(NONE, statement=1), SCRIPT, suffix=suffix)


def test_a_language_without_a_grammar_still_has_lines() -> None:
    window = "SELECT name\nFROM people\n"
    assert choose_holes(window, replace(NONE, expression=1), np.random.default_rng(0), suffix=".sql")
    assert {"FROM people", "FROM people\n"} <= texts(replace(NONE, line=1), window, suffix=".sql")


def test_spans_can_cross_lines() -> None:
    found = texts(replace(NONE, span=1))
    assert any("\n" in text.strip() for text in found)
    assert max(map(len, found)) <= 160
    assert min(map(len, found)) == 1


def test_empty_holes_end_a_line() -> None:
    ends = [choose_holes(CODE, replace(NONE, empty=1), np.random.default_rng(seed))[0] for seed in range(30)]
    assert len(set(ends)) > 5 and all(start == end and CODE[end] == "\n" != CODE[end - 1] for start, end in ends)


@pytest.mark.parametrize(("prose", "seen"), [(0.0, False), (1.0, True)])
def test_comments_and_docstrings_are_chosen_as_told(prose: float, seen: bool) -> None:
    words = ("A module", "Say it", "More words", "a comment of its own")
    found = texts(replace(NONE, line=1, prose=prose))
    assert any(word in text for text in found for word in words) is seen


def test_a_window_that_begins_in_a_docstring() -> None:
    window = CODE[CODE.index("More words") :]
    end = window.index('"""') + 3
    config = replace(NONE, line=1, expression=1, prose=0)
    assert "os.path.split(path)" in texts(config, window, prose_end=end)
    assert not any("More words" in text for text in texts(config, window, prose_end=end))


def test_counts() -> None:
    config = HolesConfig(counts=(0, 0, 1))
    numbers = [len(choose_holes(CODE, config, np.random.default_rng(seed))) for seed in range(50)]
    assert max(numbers) == 3 and np.mean(numbers) > 2.5
    assert all(len(choose_holes(CODE, HolesConfig(counts=(1,)), np.random.default_rng(s))) == 1 for s in range(50))


def test_the_default_mixture_prefers_the_rest_of_a_line() -> None:
    config = HolesConfig(counts=(1,))
    ends = [
        CODE[b : b + 1] == "\n" for s in range(300) for _, b in choose_holes(CODE, config, np.random.default_rng(s))
    ]
    assert np.mean(ends) > 0.5
