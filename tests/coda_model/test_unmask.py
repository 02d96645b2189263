import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from coda_model.unmask import (
    adaptive_commits,
    choose_positions,
    even_commits,
    keep_nucleus,
    keep_top_k,
    linear_commits,
    log_staying,
    sample_tokens,
    with_distant,
)

# Probabilities of four tokens at three positions.
PROBABILITY = torch.tensor([[0.7, 0.1, 0.1, 0.1], [0.05, 0.45, 0.44, 0.06], [0.25, 0.25, 0.25, 0.25]])
LOGITS = PROBABILITY.log() + torch.tensor([[3.0], [-2.0], [0.5]])  # a constant a row changes nothing


def entropy(*values: float) -> float:
    return -sum(p * math.log(p) for p in values)


@pytest.mark.parametrize(
    ("algorithm", "expected"),
    [
        ("maskgit_plus", [0.7, 0.45, 0.25]),
        ("topk_margin", [0.6, 0.01, 0.0]),
        ("entropy", [-entropy(0.7, 0.1, 0.1, 0.1), -entropy(0.05, 0.45, 0.44, 0.06), -math.log(4)]),
    ],
)
def test_confidence(algorithm: str, expected: list[float]) -> None:
    samples = sample_tokens(LOGITS, algorithm)  # type: ignore[arg-type]
    assert samples.ids.tolist() == [0, 1, 0]
    assert samples.confidence.tolist() == pytest.approx(expected, abs=1e-5)
    assert samples.log_probability.exp().tolist() == pytest.approx([0.7, 0.45, 0.25], abs=1e-5)


def test_origin_scores_by_chance_alone() -> None:
    logits = torch.zeros(1000, 4)
    score = sample_tokens(logits, "origin", generator=torch.Generator().manual_seed(0)).confidence
    assert score.unique().numel() > 990
    assert abs(score.mean() - 0.5) < 0.05


@given(st.lists(st.floats(-5, 5), min_size=4, max_size=6), st.sampled_from([(), (0,), (0, 1), (1,)]))
def test_log_staying(logits: list[float], forbidden: tuple[int, ...]) -> None:
    """Of what may not be drawn, the edits (0 and 1 here) count as the model sees them."""
    raw = torch.tensor([logits])
    drawn = raw.clone()
    drawn[:, list(forbidden)] = -torch.inf
    value = log_staying(raw[:, :2], drawn[:, :2], drawn.logsumexp(-1))
    assert value.exp().tolist() == pytest.approx([float(raw.softmax(-1)[0, 2:].sum())], rel=1e-3)
    assert log_staying(raw[:, :0], drawn[:, :0], drawn.logsumexp(-1)).tolist() == [0.0]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        # Temperature 1/2 squares the odds: .49, .01, .01, .01.
        ({"temperature": 0.5}, [0.49 / 0.52, 0.45**2 / (0.45**2 + 0.44**2 + 0.05**2 + 0.06**2), 0.25]),
        ({"temperature": 1.0, "top_k": 1}, [1.0, 1.0, None]),
        ({"temperature": 1.0, "top_p": 0.5}, [1.0, None, None]),
    ],
)
def test_shaping_comes_before_the_score(arguments: dict, expected: list[float | None]) -> None:
    """The score of the likeliest token under the shaped distribution, seen over many draws."""
    logits = LOGITS.repeat_interleave(400, 0)
    samples = sample_tokens(logits, "maskgit_plus", generator=torch.Generator().manual_seed(0), **arguments)
    for row, wanted in enumerate(expected):
        here = slice(400 * row, 400 * (row + 1))
        if wanted is not None:
            likeliest = samples.ids[here] == PROBABILITY[row].argmax()
            assert samples.confidence[here][likeliest].tolist() == pytest.approx(
                [wanted] * int(likeliest.sum()), abs=1e-5
            )
            assert abs(likeliest.float().mean() - wanted) < 0.08
    # The recorded log-probability is the model's own, whatever the draws were shaped to.
    expected_log = PROBABILITY.log().repeat_interleave(400, 0).gather(1, samples.ids[:, None])[:, 0]
    torch.testing.assert_close(samples.log_probability, expected_log, atol=1e-5, rtol=0)


@pytest.mark.parametrize("algorithm", ["maskgit_plus", "topk_margin", "entropy", "origin"])
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_forbidden_tokens_are_never_drawn(algorithm: str, temperature: float) -> None:
    logits = torch.randn(500, 6, generator=torch.Generator().manual_seed(0))
    logits[:, [0, 4]] = -torch.inf
    samples = sample_tokens(logits, algorithm, temperature, 0.9, 3, torch.Generator().manual_seed(1))  # type: ignore[arg-type]
    assert not torch.isin(samples.ids, torch.tensor([0, 4])).any()
    assert samples.confidence.isfinite().all()
    assert samples.log_probability.isfinite().all()


@pytest.mark.parametrize(
    ("top_p", "kept"),
    [
        (0.0, [0]),
        (0.4, [0]),
        (0.5, [0]),
        (0.6, [0, 1]),
        (0.79, [0, 1]),
        (0.81, [0, 1, 2]),
        (0.9, [0, 1, 2]),
        (1.0, [0, 1, 2, 3]),
    ],
)
def test_nucleus(top_p: float, kept: list[int]) -> None:
    logits = torch.tensor([[0.5, 0.3, 0.15, 0.05]], dtype=torch.float64).log()
    shuffled = logits[:, [2, 0, 3, 1]]
    assert keep_nucleus(logits, top_p)[0].isfinite().nonzero().flatten().tolist() == kept
    assert sorted(keep_nucleus(shuffled, top_p)[0][keep_nucleus(shuffled, top_p)[0].isfinite()].exp().tolist()) == (
        pytest.approx(sorted([0.5, 0.3, 0.15, 0.05][i] for i in kept))
    )


@pytest.mark.parametrize(("top_k", "kept"), [(1, [1]), (2, [1, 2]), (3, [0, 1, 2, 3]), (9, [0, 1, 2, 3])])
def test_top_k(top_k: int, kept: list[int]) -> None:
    logits = torch.tensor([[1.0, 5.0, 3.0, 1.0]])
    assert keep_top_k(logits, top_k)[0].isfinite().nonzero().flatten().tolist() == kept


@pytest.mark.parametrize(
    ("masked", "step", "steps", "expected"),
    [
        # t goes 1, .75025, .5005, .25075, .001: int(8 * .24975), int(7 * .3329), int(5 * .499), all.
        (8, 0, 4, 1),
        (7, 1, 4, 2),
        (5, 2, 4, 2),
        (3, 3, 4, 3),
        # The published setting: 768 tokens in 768 steps commits nothing first, int(768 * .0013008) = 0.
        (768, 0, 768, 0),
        (768, 1, 768, 1),
        (2, 767, 768, 2),
        (5, 0, 1, 5),
        (0, 3, 10, 0),
        (10, 12, 10, 10),
    ],
)
def test_linear_schedule(masked: int, step: int, steps: int, expected: int) -> None:
    assert linear_commits(masked, step, steps) == expected


@given(st.integers(0, 900), st.integers(1, 900))
def test_linear_schedule_commits_everything_in_time(masked: int, steps: int) -> None:
    left = masked
    for step in range(steps):
        count = linear_commits(left, step, steps)
        assert 0 <= count <= left
        left -= count
    assert left == 0


@given(st.integers(0, 900), st.one_of(st.none(), st.integers(1, 900)))
def test_even_schedule_commits_everything_in_time(masked: int, steps: int | None) -> None:
    counts, left = [], masked
    for step in range(masked if steps is None else steps):
        counts.append(even_commits(left, None if steps is None else steps - step))
        left -= counts[-1]
    assert left == 0
    assert steps is not None or set(counts) <= {1}
    assert not counts or max(counts) - min(counts) <= 1


@pytest.mark.parametrize(
    ("algorithm", "bound", "confidence", "expected"),
    [
        ("threshold", 0.9, [0.95, 0.2, 0.9, 0.89], 2),
        ("threshold", 0.9, [0.2, 0.1], 1),
        ("threshold", None, [0.91, 0.92, 0.93], 3),
        ("threshold", 0.0, [0.1, 0.2], 2),
        # 2 (1 - .9) = .2, 3 (1 - .8) = .6, 4 (1 - .7) = 1.2.
        ("factor", 1.0, [0.7, 0.9, 0.8], 2),
        ("factor", 0.1, [0.7, 0.9, 0.8], 1),
        ("factor", 2.0, [0.7, 0.9, 0.8], 3),
        ("factor", 1.0, [0.99] * 6, 6),
        # 2 (1 - .5) = 1 does not fit, and nothing after it.
        ("factor", 1.0, [0.5, 0.4], 1),
        # Entropies .01, .1, .2, 1: before the third .11, before the fourth .31.
        ("entropy_bound", 0.15, [-0.2, -0.01, -1.0, -0.1], 3),
        ("entropy_bound", 0.32, [-0.2, -0.01, -1.0, -0.1], 4),
        ("entropy_bound", 0.0, [-0.2, -0.01], 1),
        ("entropy_bound", 0.0, [0.0, 0.0, -0.3, -0.4], 3),
        ("entropy_bound", 0.1, [-3.0, -2.0], 1),
        ("entropy", 0.9, [0.0, 0.0], 0),
        ("threshold", 0.9, [], 0),
    ],
)
def test_adaptive_rules(algorithm: str, bound: float | None, confidence: list[float], expected: int) -> None:
    assert adaptive_commits(torch.tensor(confidence), algorithm, bound) == expected  # type: ignore[arg-type]


@given(
    st.lists(st.floats(0, 1), min_size=1, max_size=20),
    st.floats(0, 5),
    st.floats(0, 5),
    st.sampled_from(["threshold", "factor", "entropy_bound"]),
)
def test_adaptive_rules_commit_more_the_laxer_the_bound(
    values: list[float], one: float, other: float, algorithm: str
) -> None:
    confidence = torch.tensor(values) - (1 if algorithm == "entropy_bound" else 0)
    low, high = sorted([one, other], reverse=algorithm == "threshold")
    strict, lax = (adaptive_commits(confidence, algorithm, bound) for bound in (low, high))  # type: ignore[arg-type]
    assert 1 <= strict <= lax <= len(values)


@pytest.mark.parametrize(
    ("confidence", "count", "expected"),
    [
        ([0.1, 0.9, 0.5], 1, [1]),
        ([0.1, 0.9, 0.5], 2, [1, 2]),
        ([0.5, 0.5, 0.5], 2, [0, 1]),
        ([0.1, 0.9], 5, [1, 0]),
        ([0.1, 0.9], 0, []),
        ([-torch.inf, -3.0], 1, [1]),
    ],
)
def test_the_surest_positions_are_chosen(confidence: list[float], count: int, expected: list[int]) -> None:
    assert choose_positions(torch.tensor(confidence), count).tolist() == expected


def test_alg_temp_draws_positions_by_softmax() -> None:
    generator = torch.Generator().manual_seed(0)
    confidence = torch.tensor([0.0, 0.5, 1.0])
    draws = torch.cat([choose_positions(confidence, 1, 0.5, generator) for _ in range(3000)])
    frequency = torch.bincount(draws, minlength=3) / 3000
    torch.testing.assert_close(frequency, (confidence / 0.5).softmax(0), atol=0.04, rtol=0)
    assert len(set(choose_positions(confidence, 2, 5.0, generator).tolist())) == 2


@pytest.mark.parametrize(
    ("chosen", "confidence", "places", "apart", "expected"),
    [
        ([0], [9, 1, 1], [0, 4, 8], 8, [0, 2]),
        ([0], [9, 1, 2], [0, 8, 9], 8, [0, 2]),  # the surer of two that are too near each other
        ([0], [9, 2, 2], [0, 8, 9], 8, [0, 1]),  # the first among equals
        ([1], [1, 9, 1], [0, 4, 8], 8, [1]),
        ([1], [1, 9, 1], [0, 4, 8], 4, [1, 0, 2]),
        ([2, 0], [5, 1, 9, 1], [3, 5, 11, 20], 8, [2, 0, 3]),  # of several holes, by where they stand
        ([0, 1, 2], [3, 2, 1], [0, 1, 2], 1, [0, 1, 2]),
        ([], [1, 2], [0, 9], 8, [1, 0]),
    ],
)
def test_with_distant(chosen: list, confidence: list, places: list, apart: int, expected: list) -> None:
    assert with_distant(chosen, torch.tensor(confidence, dtype=torch.float32), places, apart) == expected


@given(st.data(), st.integers(1, 40), st.integers(1, 12))
def test_what_is_added_is_far_from_all(data: st.DataObject, count: int, apart: int) -> None:
    places = sorted(data.draw(st.sets(st.integers(0, 200), min_size=count, max_size=count)))
    first = data.draw(st.integers(0, count - 1))
    confidence = torch.rand(count, generator=torch.Generator().manual_seed(count))
    taken = with_distant([first], confidence, places, apart)
    assert taken[0] == first and len(set(taken)) == len(taken)
    at = [places[index] for index in taken]
    assert all(abs(one - other) >= apart for i, one in enumerate(at) for other in at[:i])
    left = [place for place in places if place not in at]
    assert all(any(abs(place - other) < apart for other in at) for place in left), "none is left that could be taken"
