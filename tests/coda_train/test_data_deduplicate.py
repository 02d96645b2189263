"""MinHash against the true Jaccard similarity, and what counts as a duplicate."""

import random

import pytest

from coda_train.data.deduplicate import SHINGLE_TOKENS, NearDuplicates, Signer, exact_digest

WORDS = [f"word{number}" for number in range(400)]


def jaccard(left: list[str], right: list[str]) -> float:
    sets = [{tuple(ws[i : i + SHINGLE_TOKENS]) for i in range(len(ws) - SHINGLE_TOKENS + 1)} for ws in (left, right)]
    return len(sets[0] & sets[1]) / len(sets[0] | sets[1])


@pytest.mark.parametrize("changed", [0, 2, 5, 10, 30, 80])
def test_signatures_estimate_the_similarity(changed: int) -> None:
    rng = random.Random(changed)
    signer = Signer()
    left = rng.choices(WORDS, k=600)
    right = list(left)
    for place in rng.sample(range(600), changed):
        right[place] = "other"
    estimate = (signer.signature(" ".join(left)) == signer.signature(" ".join(right))).mean()
    assert estimate == pytest.approx(jaccard(left, right), abs=0.13)  # three standard errors of 128 permutations


def test_signatures_do_not_depend_on_what_was_seen_before() -> None:
    text = " ".join(WORDS[:50])
    fresh, used = Signer(), Signer()
    used.signature("something else entirely")
    assert (fresh.signature(text) == used.signature(text)).all()


@pytest.mark.parametrize(
    ("changed", "kept"), [(0, False), (2, False), (6, False), (60, True), (200, True)]
)  # similarities of 1, .97, .90, .4 and .1
def test_near_duplicates_are_refused(changed: int, kept: bool) -> None:
    rng = random.Random(1)
    signer, index = Signer(), NearDuplicates(threshold=0.8)
    for _ in range(20):
        assert index.add(signer.signature(" ".join(rng.choices(WORDS, k=600))))
    words = rng.choices(WORDS, k=600)
    assert index.add(signer.signature(" ".join(words)))
    for place in rng.sample(range(600), changed):
        words[place] = f"new{place}"
    assert index.add(signer.signature(" ".join(words))) is kept


@pytest.mark.parametrize("text", ["", "a", "a b c d", "= + ="])
def test_short_texts_have_a_signature(text: str) -> None:
    signer, index = Signer(), NearDuplicates(threshold=0.8)
    assert index.add(signer.signature(text))
    assert not index.add(signer.signature(text))


@pytest.mark.parametrize(
    ("left", "right", "equal"),
    [("a  b\n", "a b", True), ("\ta\n\nb", "a b", True), ("ab", "a b", False), ("a b", "a c", False)],
)
def test_exact_digest_ignores_white_space(left: str, right: str, equal: bool) -> None:
    assert (exact_digest(left) == exact_digest(right)) is equal
