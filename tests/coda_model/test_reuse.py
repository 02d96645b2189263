"""Which tokens of a context are known from an earlier one, and how long they may be."""

from itertools import chain

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from coda_model.kv_cache import ContextCache
from coda_model.reuse import DocumentStore, common_head, kept_tokens

A, B, C = list(range(100, 130)), list(range(200, 230)), list(range(300, 330))


def cache_of(tokens: int) -> ContextCache:
    return ContextCache(torch.zeros(1, tokens, 1, 2), torch.zeros(1, tokens, 1, 2))


@pytest.mark.parametrize(
    ("old", "new", "lost", "shift_of_last"),
    [
        pytest.param([A, B], [A, B], 0, 0, id="nothing changed"),
        pytest.param([A, B], [[*A, 7], B], 1, 1, id="a token typed"),
        pytest.param([A, B], [[*A[:-1], 7, 8], B], 2, 1, id="the last token became two"),
        pytest.param([A, B], [A[:-2], B], 0, -2, id="two tokens erased"),
        pytest.param([A, B], [[*A, 7], [8, *B[1:]]], 2, 1, id="both sides of the hole"),
        pytest.param([A, B], [A[5:], B], 0, -5, id="the far end cut later"),
        pytest.param([A[5:], B], [[*A, 7], B], 6, 6, id="the far end cut earlier"),
        pytest.param([A, B], [A, [*B, 7, 8]], 2, 0, id="more of the suffix"),
        pytest.param([A, B], [A, B[:-3]], 0, 0, id="less of the suffix"),
        pytest.param([A, B], [[*A, *B[:4]], B[4:]], 4, 0, id="the cursor moved: four tokens changed sides"),
        pytest.param([A, B, C], [A, [*B, 7], C], 1, 1, id="typed between two holes"),
        pytest.param([A, B], [A, B, C], 90, None, id="another number of holes"),
        pytest.param([A, B], [C, C], 60, None, id="another document"),
        pytest.param([[], []], [[], []], 0, None, id="empty"),
    ],
)
def test_kept_tokens(old: list[list[int]], new: list[list[int]], lost: int, shift_of_last: int | None) -> None:
    source, target = kept_tokens(old, new)
    assert len(target) == sum(map(len, new)) - lost
    old_ids, new_ids = list(chain(*old)), list(chain(*new))
    assert [old_ids[i] for i in source] == [new_ids[i] for i in target]
    if shift_of_last is not None:
        assert target[-1] - source[-1] == shift_of_last


TEXTS = st.lists(st.lists(st.integers(0, 3), max_size=30), min_size=2, max_size=2)


@given(TEXTS, TEXTS)
def test_kept_tokens_are_equal_ascending_and_on_their_side(old: list[list[int]], new: list[list[int]]) -> None:
    source, target = kept_tokens(old, new)
    old_ids, new_ids = list(chain(*old)), list(chain(*new))
    assert [old_ids[i] for i in source] == [new_ids[i] for i in target]
    assert source == sorted(set(source))
    assert target == sorted(set(target))
    assert [i < len(old[0]) for i in source] == [i < len(new[0]) for i in target]


@pytest.mark.parametrize(
    ("old", "new", "run"),
    [
        ([1, 2, 3], [1, 2, 4], (0, 0, 2)),
        ([], [1], (0, 0, 0)),
        (A, A[10:], (10, 0, 20)),
        (A[10:], A, (0, 10, 20)),
        (A, A[25:], (0, 0, 0)),
        # Of several places the one where most agrees: a repeated opening is no match for the whole.
        ([*A[:8], 1, *A[:12]], A, (9, 0, 12)),
    ],
)
def test_common_head(old: list[int], new: list[int], run: tuple[int, int, int]) -> None:
    assert common_head(old, new) == run


def test_the_latest_documents_stay() -> None:
    store = DocumentStore(2)
    caches = {name: cache_of(60) for name in "abc"}
    documents = {"a": [A, B], "b": [B, C], "c": [C, A]}
    for name in "aba":
        store.keep(documents[name], None, caches[name])
    store.keep(documents["c"], None, caches["c"])
    known = {name: store.find(texts) for name, texts in documents.items()}
    assert known["b"] is None
    assert known["a"] is not None
    assert known["a"].cache is caches["a"]
    assert known["c"] is not None
    assert known["c"].cache is caches["c"]


def test_without_room_nothing_is_kept() -> None:
    store = DocumentStore(0)
    store.keep([A, B], None, cache_of(60))
    assert store.find([A, B]) is None


def test_staleness_is_bounded() -> None:
    """After a number of requests built on one another a full pass is due, and starts a new count."""
    store = DocumentStore(4)
    full_passes = []
    for request in range(100):
        known = store.find([A, B])
        full_passes += [request] * (known is None)
        store.keep([A, B], known, cache_of(60))
    assert full_passes == [0, 33, 66, 99]


@pytest.mark.parametrize(("fresh", "found"), [(64, True), (65, False)])
def test_a_large_change_is_a_full_pass(fresh: int, found: bool) -> None:
    store = DocumentStore(1)
    store.keep([[*A, *B], C], None, cache_of(90))
    assert (store.find([[*A, *B, *range(400, 400 + fresh)], C]) is not None) is found


def test_little_overlap_is_a_full_pass() -> None:
    store = DocumentStore(1)
    store.keep([A, [1]], None, cache_of(31))
    assert store.find([[*A[:10], *B[:20]], [1]]) is None
