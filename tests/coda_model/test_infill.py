"""The whole way from a document with holes to fills, on real (random, tiny) models."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from coda_model.errors import CodaError, InputError
from coda_model.infill import Hole, Infiller, InfillOptions, InfillResult, Progress, Segment
from coda_model.quantize import has_int8_kernels
from coda_model.request import Algorithm, Snippet
from coda_model.syntax import DocumentSyntax


@pytest.fixture(scope="module", params=["expand-delete", "grid"])
def infiller(request: pytest.FixtureRequest, tiny_checkpoint: Path, grid_checkpoint: Path) -> Infiller:
    return Infiller.from_pretrained(str(tiny_checkpoint if request.param == "expand-delete" else grid_checkpoint))


@pytest.fixture
def forwards(infiller: Infiller, monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """Of every forward the number of its rows, and how far into the sequences they reach."""
    seen: list[tuple[int, ...]] = []
    run = infiller.model.hidden_states

    def counting(ids_1xT: torch.Tensor, positions_BxL: torch.Tensor, **arguments: Any) -> torch.Tensor:
        seen.append((ids_1xT.shape[1], int(positions_BxL.max()) + 1))
        return run(ids_1xT, positions_BxL=positions_BxL, **arguments)

    monkeypatch.setattr(infiller.model, "hidden_states", counting)
    return seen


DOCUMENT: list[Segment] = [
    "def add(a, b):\n    return ",
    Hole(single_line=True, max_tokens=10),
    "\n\nprint(add(1, 2))\n",
]


def test_every_step_is_one_forward_and_one_progress(infiller: Infiller, forwards: list) -> None:
    masked = []
    for number, item in enumerate(infiller.run(DOCUMENT, InfillOptions()), 1):
        if isinstance(item, InfillResult):
            assert item.steps == len(forwards) == number - 1
            assert len(item.candidates) == 1
            assert item.length_policy == infiller.info()["length"]
            assert item.timings.total_ms >= item.timings.model_ms > 0
            break
        assert isinstance(item, Progress)
        assert item.step == number == len(forwards)
        assert item.steps >= item.step + (item.masked > 0)
        masked.append(item.masked)
    done = masked.index(0)
    assert len(masked) - done <= 2, "at most one forward to compare drafts"
    assert not any(masked[done:])


def test_closing_stops_all_work(infiller: Infiller, forwards: list) -> None:
    items = infiller.run(DOCUMENT, InfillOptions())
    assert isinstance(items, Iterator)
    assert not forwards
    next(items)
    next(items)
    assert len(forwards) == 2
    items.close()  # type: ignore[attr-defined]
    assert list(items) == []
    assert len(forwards) == 2


def test_equal_arguments_give_equal_answers(infiller: Infiller) -> None:
    def answer(**options: object) -> list[tuple[str, ...]]:
        return [candidate.fills for candidate in infiller.fill(DOCUMENT, **options).candidates]

    assert answer(candidates=4, seed=7) == answer(candidates=4, seed=7)
    assert answer(temperature=1.0, seed=7) == answer(temperature=1.0, seed=7)
    assert len({answer(temperature=1.0, seed=seed)[0] for seed in range(5)}) > 1


def test_candidates_differ(infiller: Infiller) -> None:
    candidates = infiller.fill(DOCUMENT, candidates=5).candidates
    assert 2 <= len(candidates) <= 5
    assert len({candidate.fills for candidate in candidates}) == len(candidates)
    for candidate in candidates:
        logs = [math.log(p) for hole in candidate.token_confidences for p in hole]
        assert candidate.confidence == pytest.approx(math.exp(sum(logs) / len(logs)))


TEXT = st.text(st.one_of(st.sampled_from("abc()[]:= \n\t"), st.characters(codec="utf-8")), max_size=60)
HOLES = st.builds(Hole, st.none() | TEXT, st.booleans(), st.integers(1, 8), st.none() | st.integers(1, 8))


@settings(max_examples=60, deadline=None)
@given(
    document=st.lists(st.one_of(TEXT, HOLES), max_size=6),
    hole=HOLES,
    steps=st.none() | st.integers(1, 5),
    temperature=st.sampled_from([0.0, 1.5]),
    algorithm=st.sampled_from(get_args(Algorithm)),
    context_tokens=st.integers(0, 60),
    refresh=st.integers(0, 3),
)
def test_any_document_is_filled_with_plain_text(
    infiller: Infiller,
    document: list[Segment],
    hole: Hole,
    steps: int | None,
    temperature: float,
    algorithm: str,
    context_tokens: int,
    refresh: int,
) -> None:
    result = infiller.fill(
        [*document, hole],
        steps=steps,
        temperature=temperature,
        algorithm=algorithm,
        context_tokens=context_tokens,
        refresh=refresh,
        candidates=2,
    )
    holes = [segment for segment in [*document, hole] if isinstance(segment, Hole)]
    assert 1 <= len(result.candidates) <= 2
    for candidate in result.candidates:
        assert len(candidate.fills) == len(candidate.token_confidences) == len(holes)
        assert 0 < candidate.confidence <= 1
        for fill, confidences, wanted in zip(candidate.fills, candidate.token_confidences, holes, strict=True):
            assert "\ufffd" not in fill
            assert not any(special in fill for special in ("<|mask|>", "<|expand|>", "<|delete|>", "<|im_end|>"))
            assert not (wanted.single_line and ("\n" in fill or "\r" in fill))
            fill.encode("utf-8")
            if wanted.length is not None:
                assert len(confidences) == wanted.length
            else:
                assert len(confidences) <= wanted.max_tokens + 2  # one opened again on each side


def test_text_that_spells_a_special_token_is_text(infiller: Infiller, forwards: list) -> None:
    hole = Hole(length=2)
    infiller.fill(["<|mask|>", hole, "<|delete|><|endoftext|>"], refresh=1)
    ids = len(infiller.tokenizer.encode("<|mask|>")) + 2 + len(infiller.tokenizer.encode("<|delete|><|endoftext|>"))
    assert forwards == [(ids, ids)] * 2
    assert ids > 10


def test_a_carriage_return_is_drawn_only_where_the_document_has_one(infiller: Infiller) -> None:
    def fills(text: str) -> str:
        draws = (infiller.fill([text, Hole(length=90)], temperature=5.0, steps=1, seed=seed) for seed in range(20))
        return "".join(result.candidates[0].fills[0] for result in draws)

    assert "\r" not in fills("a =\n")
    assert "\r" in fills("a =\r\n")


def test_a_deadline_commits_what_is_left_at_once(infiller: Infiller, forwards: list) -> None:
    result = infiller.fill(["a", Hole(length=40)], deadline_ms=0)
    assert result.steps == len(forwards) == 1
    assert len(result.candidates[0].token_confidences[0]) == 40
    assert infiller.fill(["a", Hole(length=40)], deadline_ms=60_000, apart=0).steps == 40


def test_the_context_is_cut_to_the_budget_and_to_the_positions(infiller: Infiller, forwards: list) -> None:
    text = "x = 1\n" * 2000
    infiller.fill([text, Hole(length=1), text], context_tokens=100)
    infiller.fill([text, Hole(length=24), text], context_tokens=30_000, steps=1)
    assert 80 < forwards[0][1] <= 101
    assert 950 < forwards[1][1] <= infiller.model.config.max_position_embeddings


def test_a_document_of_many_megabytes(infiller: Infiller) -> None:
    lines = "def f(x):\n    return x\n" * 220_000
    result = infiller.fill([lines, Hole(length=3), "y" * 1_000_000])
    assert result.timings.tokenize_ms < 500


def test_many_large_holes_leave_room_for_context(infiller: Infiller, forwards: list) -> None:
    document: list[Segment] = [segment for _ in range(20) for segment in ("x = 1\n" * 50, Hole(max_tokens=512))]
    result = infiller.fill(document, context_tokens=30_000, steps=2, refresh=1)
    assert len(result.candidates[0].fills) == 20
    assert all(512 < reach <= 1024 for rows, reach in forwards if rows > 500)


@pytest.mark.parametrize("segments", [[Hole()], ["", Hole(hint=""), ""], [Hole(length=1), Hole(length=1)]])
def test_an_empty_document(infiller: Infiller, segments: list[Segment]) -> None:
    assert len(infiller.fill(segments).candidates[0].fills) == len([s for s in segments if isinstance(s, Hole)])


@pytest.mark.parametrize(
    ("segments", "message"),
    [
        ([], "no hole"),
        (["text"], "no hole"),
        ([Hole(length=512), Hole(length=512), Hole()], "1025 tokens together.*1024 positions"),
    ],
)
def test_bad_requests_fail_before_anything_runs(infiller: Infiller, segments: list[Segment], message: str) -> None:
    with pytest.raises(InputError, match=message):
        infiller.run(segments, InfillOptions())


def test_half_a_surrogate_pair_is_one_sentence(infiller: Infiller) -> None:
    with pytest.raises(InputError, match="surrogate"):
        infiller.fill(["a\ud800", Hole()])


def test_info(infiller: Infiller) -> None:
    info = infiller.info()
    path = Path(info.pop("path"))
    assert path.is_dir()
    assert info == {
        "model": path.name,
        "device": "cpu",
        "dtype": "float32",
        "measured_ms": None,
        "threads": torch.get_num_threads(),
        "parameters": 33_536,
        "vocabulary": 369,
        "layers": 2,
        "hidden": 32,
        "max_positions": 1024,
        "length": "expand-delete" if path.name == "tiny" else "grid",
    }


@pytest.mark.parametrize("dtype", ["bfloat16", "int8", "auto"])
def test_other_dtypes_fill_too(tiny_checkpoint: Path, dtype: str) -> None:
    if dtype == "int8" and not has_int8_kernels():
        pytest.skip("PyTorch has no int8 kernels for this processor")
    infiller = Infiller.from_pretrained(str(tiny_checkpoint), dtype=dtype)
    assert infiller.info()["dtype"] in ({dtype} if dtype != "auto" else {"bfloat16", "float32", "int8"})
    assert infiller.fill(DOCUMENT).candidates[0].fills[0]


@pytest.mark.parametrize(
    ("device", "dtype", "message"),
    [
        ("toaster", "float32", "no device 'toaster'"),
        ("cuda:99", "float32", "not available|does not exist"),
        ("cpu", "float12", "no dtype 'float12'"),
    ],
)
def test_bad_places(tiny_checkpoint: Path, device: str, dtype: str, message: str) -> None:
    with pytest.raises(CodaError, match=message):
        Infiller.from_pretrained(str(tiny_checkpoint), device, dtype)


LOOKED_UP = [
    ("x = qqq(ab, [cd])\ny = qqq(", "\n", "ab, [cd])"),
    ("x = qqq(ab, [cd])\ny = qqq(", ")\n", "ab, [cd]"),
    ("x = aqqqqab\ny = aqqq", "\n", "qab"),  # in the middle of a word: its start is opened again
]


@pytest.mark.parametrize(("before", "after", "text"), LOOKED_UP)
@pytest.mark.parametrize("refresh", [0, 1])
def test_what_the_document_says_elsewhere_is_proposed(
    infiller: Infiller, before: str, after: str, text: str, refresh: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A random model would never write it; its probabilities are the model's all the same."""
    monkeypatch.setattr("coda_model.ranking.SAME_WORTH", 100.0)
    document: list[Segment] = [before, Hole(single_line=True, max_tokens=20), after]
    options: dict[str, Any] = {"candidates": 8, "language": "python", "refresh": refresh}
    without = {candidate.fills[0] for candidate in infiller.fill(document, lookups=0, **options).candidates}
    assert text not in without
    best = infiller.fill(document, **options).candidates[0]
    assert best.fills == (text,)
    assert 0 < best.confidence < 1
    assert all(0 < each < 1 for each in best.token_confidences[0])


def test_other_files_are_looked_at_too(infiller: Infiller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("coda_model.ranking.SAME_WORTH", 100.0)
    document: list[Segment] = ["y = qqq(", Hole(single_line=True, max_tokens=20), "\n"]
    snippet = Snippet("other.py", "x = qqq(ab, [cd])\n")
    assert infiller.fill(document, snippets=(snippet,), language="python").candidates[0].fills == ("ab, [cd])",)


def test_what_is_looked_up_is_as_likely_as_the_model_says(infiller: Infiller) -> None:
    """One token, given: its probability is that of the whole sequence with a mask in its place."""
    coder, config = infiller.tokenizer, infiller.model.config
    before, after = "x = ~ab\ny = ~", "\n"
    result = infiller.fill(
        [before, Hole(single_line=True, max_tokens=20), after], language="python", heal=False, refresh=1, candidates=8
    )
    found = next(candidate for candidate in result.candidates if candidate.fills == ("ab",))
    tokens = coder.encode("ab")
    ids = [*coder.encode(before), *[config.mask_token_id] * len(tokens), *coder.encode(after)]
    start = len(coder.encode(before))
    logits = infiller.model(torch.tensor([ids]))[0, start - 1 : start - 1 + len(tokens)]
    forbidden = coder.is_special | coder.is_unwritable | coder.has_newline | coder.has_carriage_return
    own = logits.masked_fill(forbidden, -torch.inf).softmax(-1)
    first = max(range(len(tokens)), key=lambda slot: float((own[slot] * own[slot].log().clamp(min=-1e4)).sum()))
    assert found.token_confidences[0][first] == pytest.approx(float(own[first, tokens[first]]), rel=1e-3)


@pytest.mark.parametrize("refresh", [0, 1])
@pytest.mark.parametrize(
    ("before", "after", "start"),
    [
        ("def f(data):\n", "\n        print(item)\n", "    for item in"),
        ("def f(data):\n    ", "\n        print(item)\n", "for item in"),
        ("def f(data):\n", "\n    return total\n", "    total ="),
        ("def f(data):\n", "\n    return math.sqrt(data)\n", "    import math"),
    ],
)
def test_a_line_binds_what_the_code_behind_it_needs(
    infiller: Infiller, before: str, after: str, start: str, refresh: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A random model would never write it, and writes what does not parse into it."""
    compared: list[str] = []
    monkeypatch.setattr(DocumentSyntax, "missing_names", lambda _, fills: compared.append(fills[0]) or 0)

    def proposed(language: str, max_tokens: int) -> list[str]:
        compared.clear()
        hole = Hole(single_line=True, max_tokens=max_tokens)
        infiller.fill([before, hole, after], language=language, refresh=refresh)
        return [text for text in compared if text.startswith(start)]

    assert proposed("python", 40)
    assert not proposed("python", 2)
    assert not proposed("javascript", 40)
