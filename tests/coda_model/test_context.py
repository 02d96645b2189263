import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from coda_model.context import cut_context, fit_holes, share_budget, split_segments
from coda_model.errors import InputError
from coda_model.request import Hole, Segment
from coda_model.tokenizer import CodeTokenizer


@pytest.fixture(scope="module")
def coder(tiny_checkpoint: Path, tokenizer: Tokenizer) -> CodeTokenizer:
    return CodeTokenizer.from_folder(tiny_checkpoint, tokenizer.get_vocab_size())


HOLE, OTHER = Hole(), Hole(max_tokens=3)


@pytest.mark.parametrize(
    ("segments", "texts", "holes"),
    [
        ([HOLE], ["", ""], [HOLE]),
        (["a", HOLE, "b"], ["a", "b"], [HOLE]),
        (["a", "b", HOLE, OTHER, "c", "d"], ["ab", "", "cd"], [HOLE, OTHER]),
        ([HOLE, "x", OTHER], ["", "x", ""], [HOLE, OTHER]),
    ],
)
def test_split_segments(segments: list[Segment], texts: list[str], holes: list[Hole]) -> None:
    assert split_segments(segments) == (texts, holes)


@pytest.mark.parametrize(("segments", "message"), [([], "no hole"), (["a"], "no hole"), ([HOLE, 3], "not int")])
def test_bad_segments(segments: list, message: str) -> None:
    with pytest.raises(InputError, match=message):
        split_segments(segments)


@pytest.mark.parametrize(
    ("budget", "wants", "weights", "granted"),
    [
        (90, [1000, 1000], [2, 1], [60, 30]),
        (90, [10, 1000], [2, 1], [10, 80]),
        (90, [1000, 10], [2, 1], [80, 10]),
        (90, [30, 30], [2, 1], [30, 30]),
        (90, [0, 1000], [2, 1], [0, 90]),
        (60, [1000, 5, 1000], [2, 3, 1], [36, 5, 18]),
        (0, [5, 5], [2, 1], [0, 0]),
        (10, [0, 0], [2, 1], [0, 0]),
    ],
)
def test_share_budget(budget: int, wants: list[int], weights: list[int], granted: list[int]) -> None:
    assert share_budget(budget, wants, weights) == granted


@given(st.integers(0, 500), st.lists(st.tuples(st.integers(0, 300), st.integers(1, 3)), min_size=1, max_size=6))
def test_a_budget_is_used_up_and_never_exceeded(budget: int, parts: list[tuple[int, int]]) -> None:
    wants, weights = [want for want, _ in parts], [weight for _, weight in parts]
    granted = share_budget(budget, wants, weights)
    assert all(0 <= given <= want for given, want in zip(granted, wants, strict=True))
    assert min(budget, sum(wants)) - len(parts) < sum(granted) <= budget


@pytest.mark.parametrize(
    ("holes", "positions", "bounds"),
    [
        ([Hole(max_tokens=64)], 512, [64]),
        ([Hole(max_tokens=512)], 512, [256]),
        ([Hole(max_tokens=512), Hole(max_tokens=20)], 512, [236, 20]),
        ([Hole(max_tokens=512), Hole(length=100, max_tokens=7)], 512, [156, 7]),
        ([Hole(length=512)], 512, [64]),
        ([Hole(length=300), Hole(max_tokens=9), Hole(max_tokens=9)], 512, [64, 1, 1]),
        ([Hole()] * 600, 1000, [1] * 600),
    ],
)
def test_fit_holes(holes: list[Hole], positions: int, bounds: list[int]) -> None:
    fitted = fit_holes(holes, positions)
    assert [hole.max_tokens for hole in fitted] == bounds
    assert [hole.length for hole in fitted] == [hole.length for hole in holes]


@pytest.mark.parametrize(
    ("holes", "positions"), [([Hole(length=512), Hole()], 512), ([Hole()] * 9, 8), ([Hole(length=8), Hole()], 8)]
)
def test_holes_that_cannot_fit(holes: list[Hole], positions: int) -> None:
    with pytest.raises(InputError, match=f"the model has {positions} positions"):
        fit_holes(holes, positions)


CODE = "".join(f"def f{i}(x):\n    return x + {i}\n\n\n" for i in range(60))


def test_a_text_that_fits_is_kept_whole(coder: CodeTokenizer) -> None:
    texts = ["def f(x):\n", "    y = 1\n", "    return x\n"]
    assert [coder.decode(ids) for ids in cut_context(texts, 512, coder)] == texts


@given(st.integers(0, 300), st.lists(st.integers(0, len(CODE)), min_size=2, max_size=5))
def test_what_stays_is_next_to_the_holes(coder: CodeTokenizer, budget: int, lengths: list[int]) -> None:
    texts = [CODE[:length] for length in lengths]
    kept = cut_context(texts, budget, coder)
    assert sum(map(len, kept)) <= budget
    assert texts[0].endswith(coder.decode(kept[0]))
    assert texts[-1].startswith(coder.decode(kept[-1]))
    for text, ids in zip(texts[1:-1], kept[1:-1], strict=True):
        cut = coder.decode(ids)
        assert any(text.startswith(cut[:i]) and text.endswith(cut[i:]) for i in range(len(cut) + 1))


def test_the_prefix_gets_two_thirds_and_cuts_fall_on_line_ends(coder: CodeTokenizer) -> None:
    prefix, suffix = cut_context([CODE, CODE], 300, coder)
    assert 150 <= len(prefix) <= 200
    assert 75 <= len(suffix) <= 100
    assert coder.decode(prefix).startswith("\n")
    assert CODE.removeprefix(coder.decode(suffix)).startswith(("def", "    return", "\n"))


@pytest.mark.parametrize("unit", ["x = 1\n", "x", "🙂", " "])
def test_the_cost_does_not_grow_with_the_document(coder: CodeTokenizer, unit: str) -> None:
    text = unit * (5_000_000 // len(unit))
    started = time.perf_counter()
    kept = cut_context([text, text, text], 512, coder)
    assert time.perf_counter() - started < 1
    assert 250 < sum(map(len, kept)) <= 512
