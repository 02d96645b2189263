"""Text of other files in front of the document: order, budget, comment lines."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from coda_model.infill import Hole, Infiller
from coda_model.request import Snippet
from coda_model.snippets import comment_line, encode_snippets
from coda_model.tokenizer import CodeTokenizer


@pytest.fixture(scope="module")
def coder(tiny_checkpoint: Path, tokenizer: Tokenizer) -> CodeTokenizer:
    return CodeTokenizer.from_folder(tiny_checkpoint, tokenizer.get_vocab_size())


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("a/b.py", "# a/b.py\n"),
        ("a.TS", "// a.TS\n"),
        ("main.go", "// main.go\n"),
        ("s.css", "/* s.css */\n"),
        ("i.html", "<!-- i.html -->\n"),
        ("q.sql", "-- q.sql\n"),
        ("Makefile", "# Makefile\n"),
    ],
)
def test_comment_lines(path: str, line: str) -> None:
    assert comment_line(path) == line


A, B = Snippet("a.py", "def add(a, b):\n    return a + b\n"), Snippet("b.py", "x = 1\n\n\n")


def test_the_most_relevant_stands_next_to_the_document(coder: CodeTokenizer) -> None:
    text = coder.decode(encode_snippets([A, Snippet("blank.py", " \n"), B], 200, coder))
    assert text == "# b.py\nx = 1\n# a.py\ndef add(a, b):\n    return a + b\n"


def test_the_least_relevant_goes_first(coder: CodeTokenizer) -> None:
    whole = len(encode_snippets([A], 200, coder))
    assert coder.decode(encode_snippets([A, B], whole + 3, coder)).startswith("# a.py")
    assert coder.decode(encode_snippets([A, B], whole - 1, coder)) in ("", "# a.py\ndef add(a, b):\n")
    assert encode_snippets([A, B], 3, coder) == []


LINES = st.lists(st.sampled_from(["x = 1", "def add(a, b):", "    return a", "", "é 🙂"]), max_size=12).map("\n".join)


@given(st.lists(st.builds(Snippet, st.sampled_from(["a.py", "b.rs"]), LINES), max_size=4), st.integers(0, 80))
def test_never_more_than_the_budget_and_always_whole_lines(
    coder: CodeTokenizer, snippets: list[Snippet], budget: int
) -> None:
    ids = encode_snippets(snippets, budget, coder)
    assert len(ids) <= budget
    text = coder.decode(ids)
    assert not text or text.endswith("\n")
    known = {line for snippet in snippets for line in [comment_line(snippet.path)[:-1], *snippet.text.split("\n")]}
    assert {line.rstrip() for line in text.split("\n")[:-1]} <= {line.rstrip() for line in known} | {""}


def test_the_model_sees_them_inside_the_context_budget(tiny_checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    infiller = Infiller.from_pretrained(str(tiny_checkpoint))
    seen: list[str] = []
    run = infiller.model.hidden_states

    def spy(ids_BxL, **arguments):
        seen.append(infiller.tokenizer.decode(ids_BxL[0].tolist()))
        return run(ids_BxL, **arguments)

    monkeypatch.setattr(infiller.model, "hidden_states", spy)
    document = ["y = 2\n" * 100, Hole(length=1), "\nz = 3\n" * 100]
    infiller.fill(document, context_tokens=100, snippets=(A, B), snippet_tokens=60)
    assert seen[0].startswith("# b.py\nx = 1\n# a.py\ndef add(a, b):\n    return a + b\n")
    assert "y = 2" in seen[0]
    assert "z = 3" in seen[0]
    infiller.fill(document, context_tokens=100, snippets=(A, B), snippet_tokens=0)
    assert "def add" not in seen[1]
    lengths = [len(infiller.tokenizer.encode(text.replace("<|mask|>", ""))) for text in seen]
    assert all(80 < length <= 101 for length in lengths)
