"""Tokens that the edges of a hole may have cut: opened again, spelt by the fill, and no part of the answer."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from coda_model.heal import Edges, open_edges
from coda_model.infill import Hole, Infiller
from coda_model.tokenizer import CodeTokenizer

from .conftest import CORPUS


@pytest.fixture(scope="module")
def coder(tiny_checkpoint: Path, tokenizer: Tokenizer) -> CodeTokenizer:
    return CodeTokenizer.from_folder(tiny_checkpoint, tokenizer.get_vocab_size())


@pytest.mark.parametrize(
    ("texts", "holes", "left", "edges"),
    [
        (["def add(a", " + b"], [Hole()], ["def add(", " b"], [Edges("a", " +")]),
        (["def", "\n"], [Hole()], ["", "\n"], [Edges("def", "")]),
        (["x = 1\n", "\ny"], [Hole()], ["x = 1\n", "\ny"], [Edges("", "")]),
        (["", ""], [Hole()], ["", ""], [Edges("", "")]),
        (["x 🦊", ""], [Hole()], ["x 🦊", ""], [Edges("", "")]),  # its last token is part of a character
        (["def", "self"], [Hole(length=3)], ["def", "self"], [Edges("", "")]),
        (["def", "x", "def"], [Hole(), Hole()], ["", "", ""], [Edges("def", "x"), Edges("", "def")]),
    ],
)
def test_which_tokens_are_opened(
    coder: CodeTokenizer, texts: list[str], holes: list[Hole], left: list[str], edges: list[Edges]
) -> None:
    ids, found = open_edges([coder.encode(text) for text in texts], holes, coder)
    assert [coder.decode(one) for one in ids] == left
    assert found == edges


@given(st.text(st.sampled_from("abdef (=:é"), min_size=1, max_size=6))
def test_tokens_by_their_first_and_last_characters(coder: CodeTokenizer, text: str) -> None:
    plain = [i for i, special in enumerate(coder.is_special.tolist()) if not special]
    spelt = {i: coder._bytes[i] or b"" for i in plain}
    assert set(coder.starting_with(text).tolist()) == {i for i in plain if spelt[i].startswith(text.encode())}
    assert set(coder.ending_with(text).tolist()) == {i for i in plain if spelt[i].endswith(text.encode())}


@pytest.fixture(scope="module", params=["tiny_checkpoint", "grid_checkpoint"])
def infiller(request: pytest.FixtureRequest) -> Infiller:
    return Infiller.from_pretrained(str(request.getfixturevalue(request.param)))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, len(CORPUS[0])), st.integers(0, len(CORPUS[0])), st.booleans(), st.sampled_from([0.0, 1.5]))
def test_what_stands_there_is_spelt_once(
    infiller: Infiller, start: int, end: int, single_line: bool, temperature: float
) -> None:
    """Whatever the model draws, the committed tokens spell what was opened, and the answer does not repeat it."""
    prefix, suffix = CORPUS[0][: min(start, end)], CORPUS[0][max(start, end) :]
    spelt: list[tuple[str, str, str]] = []
    inner = Edges.inner

    def spy(edges: Edges, text: str) -> str:
        spelt.append((edges.opening, edges.closing, text))
        return inner(edges, text)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Edges, "inner", spy)
        result = infiller.fill(
            [prefix, Hole(single_line=single_line, max_tokens=6), suffix], temperature=temperature, seed=start
        )
    for opening, closing, text in spelt:
        assert text.startswith(opening)
        assert text.endswith(closing)
        assert len(text) >= len(opening) + len(closing)
        assert prefix.endswith(opening)
        assert suffix.startswith(closing)
    for candidate in result.candidates:
        assert not (single_line and "\n" in candidate.fills[0])


def test_without_healing_nothing_is_opened(infiller: Infiller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("coda_model.filling.open_edges", None)
    infiller.fill(["def ad", Hole(max_tokens=3), "d()"], heal=False)
